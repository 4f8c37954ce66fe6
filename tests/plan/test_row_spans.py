"""Waits and transfers of tasks that say which rows their tiles touch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plan_graphs import GraphBuilder

from hetcomp.plan.graph import Grid, RowSpan, Space, TaskGraph, Tensor
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.steps import make_table
from hetcomp.plan.transfer import Share, Transfers

ROW, ROWS = 128, 8
SIZE = ROW * ROWS
OWN = RowSpan(0, ROW, ROW)
WINDOW = RowSpan(-ROW, ROW, 3 * ROW)
"""A window of three rows with one of padding."""


def chain_of(*reads: RowSpan | None) -> TaskGraph:
    """Tasks that follow each other; each reads so and writes its own rows."""
    builder = GraphBuilder()
    tensors = [builder.tensor(SIZE) for _ in range(len(reads) + 1)]
    for i in range(len(reads)):
        builder.task(tensors[i : i + 1], tensors[i + 1 : i + 2], rows=Grid(ROWS))
    graph = builder.graph(tensors[:1], tensors[-1:])
    tasks = (
        replace(task, row_spans=(span, OWN)) for task, span in zip(graph.tasks, reads, strict=True)
    )
    return replace(graph, tasks=tuple(tasks))


def cut(graph: TaskGraph, *cuts: int) -> Plan:
    return Plan(
        "p",
        tuple(
            Decision(task.name, Place.SPLIT, Axis.ROWS, at)
            for task, at in zip(graph.tasks, cuts, strict=True)
        ),
    )


def waits(graph: TaskGraph, *cuts: int) -> tuple[list[int], list[int]]:
    # A large room keeps tensors apart, so that no wait is for memory used again.
    table = make_table(graph, cut(graph, *cuts), room=9.0)
    return [step.wait for step in table.cpu], [step.wait for step in table.gpu]


def test_aligned_halves_of_own_rows_never_wait() -> None:
    assert waits(chain_of(OWN, OWN, OWN), 4, 4, 4) == ([0, 0, 0], [0, 0, 0])


def test_a_half_waits_for_rows_that_the_other_one_made() -> None:
    graph = chain_of(OWN, OWN)
    assert waits(graph, 4, 5) == ([0, 1], [0, 0])
    assert waits(graph, 4, 3) == ([0, 0], [0, 1])


def test_a_window_waits_for_its_halo_and_unknown_rows_for_all() -> None:
    assert waits(chain_of(OWN, WINDOW), 4, 4) == ([0, 1], [0, 1])
    assert waits(chain_of(OWN, None), 4, 4) == ([0, 1], [0, 1])


@pytest.mark.parametrize(
    ("span", "rows_to_cpu", "rows_to_gpu"), [(OWN, 0, 0), (WINDOW, 1, 1), (None, 0, 0)]
)
def test_the_halo_is_what_crosses(span: RowSpan | None, rows_to_cpu: int, rows_to_gpu: int) -> None:
    half = Share(0.5, Axis.ROWS)
    (crossing,) = Transfers(chain_of(OWN, span)).crossings(1, half, lambda _: half)
    assert crossing.to_cpu_bytes == pytest.approx(rows_to_cpu * ROW)
    assert crossing.to_gpu_bytes == pytest.approx(rows_to_gpu * ROW)


def split_of(*reads: int) -> TaskGraph:
    """A task makes rows of two halves, the next ones read the half that is given."""
    builder = GraphBuilder()
    tensors = [builder.tensor(SIZE) for _ in range(2)]
    builder.task(tensors[:1], tensors[1:], rows=Grid(ROWS))
    for half in reads:
        result = builder.tensor(SIZE // 2)
        place = Tensor("", (ROWS, ROW // 8), "float32", SIZE // 2, Space.ARENA, tensors[1])
        builder.tensors.append(replace(place, offset_bytes=half * ROW // 2, pitch_bytes=ROW))
        builder.task([len(builder.tensors) - 1], [result], rows=Grid(ROWS))
    graph = builder.graph(tensors[:1], [result])
    half = RowSpan(0, ROW // 2, ROW // 2)
    tasks = [replace(task, row_spans=(half, half)) for task in graph.tasks]
    tasks[0] = replace(tasks[0], row_spans=(OWN, OWN))
    return replace(graph, tasks=tuple(tasks))


def test_a_part_of_a_split_waits_for_its_rows_only() -> None:
    assert waits(split_of(1), 4, 4) == ([0, 0], [0, 0])
    assert waits(split_of(0), 4, 5) == ([0, 1], [0, 0])
    assert waits(split_of(1), 4, 3) == ([0, 0], [0, 1])


def test_of_a_split_tensor_no_more_crosses_than_is_read() -> None:
    (crossing,) = Transfers(split_of(1)).crossings(1, Share(1.0), lambda _: Share(0.0))
    assert crossing.to_cpu_bytes == SIZE // 2


def test_spans_survive_json() -> None:
    graph = chain_of(WINDOW, None)
    assert TaskGraph.from_json(graph.to_json()) == graph
