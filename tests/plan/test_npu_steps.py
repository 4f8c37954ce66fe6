"""Regions of the NPU: which tasks, what goes in and out, and what runs beside them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from plan_graphs import GraphBuilder, chain, two_branches

from hetcomp.errors import PlanError
from hetcomp.plan.graph import Grid, RowSpan, TaskGraph
from hetcomp.plan.io import read_plan, write_plan
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan
from hetcomp.plan.planners import on_npu
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import NpuStep, StepTable


def placed(graph: TaskGraph, places: Sequence[Place]) -> StepTable:
    pairs = zip(graph.tasks, places, strict=True)
    plan = Plan("p", tuple(Decision(task.name, place) for task, place in pairs))
    return make_table(graph, plan, room=math.inf)


def test_a_whole_network_is_one_region() -> None:
    graph = chain(3, npu=True)
    table = make_table(graph, on_npu(graph))
    assert table.npu == (NpuStep((0, 1, 2), inputs=(0,), outputs=(3,)),)
    assert [step.npu for step in table.cpu] == [1, -1]
    assert table.gpu == ()
    assert StepTable.from_json(json.loads(json.dumps(table.to_json()))) == table


def test_what_the_npu_takes_not_stays_on_the_cpu() -> None:
    builder = GraphBuilder()
    tensors = [builder.tensor() for _ in range(4)]
    for index in range(3):
        builder.task([tensors[index]], [tensors[index + 1]], npu=index != 1)
    graph = builder.graph(tensors[:1], tensors[-1:])
    plan = on_npu(graph)
    assert [d.place for d in plan.decisions] == [Place.NPU, Place.CPU, Place.NPU]
    assert plan.decisions[1].reason == "cpu: not on the npu: it sums floats"
    table = make_table(graph, plan)
    assert [(step.task, step.npu) for step in table.cpu] == [
        *((0, 1), (0, -1), (1, 0), (2, 2), (2, -2))
    ]


def test_a_branch_of_the_cpu_runs_beside_one_of_the_npu() -> None:
    graph = two_branches(npu=True)
    npu, cpu = [Place.NPU] * 3, [Place.CPU] * 3
    table = placed(graph, [*npu, *cpu, Place.CPU])
    assert [step.npu for step in table.cpu] == [1, 0, 0, 0, -1, 0]


def test_gpu_and_npu_wait_for_each_other_through_the_cpu() -> None:
    graph = chain(3, npu=True)
    table = placed(graph, [Place.GPU, Place.NPU, Place.GPU])
    assert [(step.npu, step.wait) for step in table.cpu] == [(1, 1), (-1, 0)]
    assert [step.wait for step in table.gpu] == [0, 2]


def test_slices_that_others_write_are_inputs() -> None:
    builder = GraphBuilder()
    x, whole = builder.tensor(), builder.tensor(8192)
    left = builder.tensor(4096, alias_of=whole)
    right = builder.tensor(4096, alias_of=whole, offset_bytes=4096)
    y = builder.tensor()
    builder.task([x], [left])
    builder.task([x], [right], npu=True)
    builder.task([whole], [y], npu=True)
    graph = builder.graph([x], [y])
    (region,) = placed(graph, [Place.CPU, Place.NPU, Place.NPU]).npu
    assert region == NpuStep((1, 2), inputs=(x, whole), outputs=(y,))


def test_a_region_is_handed_over_before_a_branch_of_the_cpu() -> None:
    graph = two_branches(npu=True)
    table = placed(graph, [*[Place.CPU] * 3, *[Place.NPU] * 3, Place.CPU])
    assert [(step.task, step.npu) for step in table.cpu] == [
        *((3, 1), (0, 0), (1, 0), (2, 0), (3, -1), (6, 0))
    ]


def test_what_the_gpu_makes_is_not_waited_for_ahead_of_time() -> None:
    builder = GraphBuilder()
    x, a, b, c, d = (builder.tensor() for _ in range(5))
    builder.task([x], [a])
    builder.task([x], [b])
    builder.task([a], [c], npu=True)
    builder.task([b, c], [d])
    graph = builder.graph([x], [d])
    table = placed(graph, [Place.GPU, Place.CPU, Place.NPU, Place.CPU])
    assert [(step.task, step.npu, step.wait) for step in table.cpu] == [
        *((1, 0, 0), (2, 1, 1), (2, -1, 0), (3, 0, 0))
    ]


def interleaved() -> TaskGraph:
    """Two branches of two tasks, whose tasks take turns."""
    builder = GraphBuilder()
    x = builder.tensor()
    ends = [x, x]
    for _ in range(2):
        for branch in (0, 1):
            out = builder.tensor()
            builder.task([ends[branch]], [out], npu=True)
            ends[branch] = out
    y = builder.tensor()
    builder.task(ends, [y])
    return builder.graph([x], [y])


def test_a_branch_is_one_region_though_others_are_between_its_tasks() -> None:
    places = [Place.NPU, Place.CPU, Place.NPU, Place.CPU, Place.CPU]
    table = placed(interleaved(), places)
    assert [step.tasks for step in table.npu] == [(0, 2)]
    assert [step.npu for step in table.cpu] == [1, 0, 0, -1, 0]


def test_what_depends_on_a_region_is_not_passed_over() -> None:
    graph = chain(3, npu=True)
    table = placed(graph, [Place.NPU, Place.CPU, Place.NPU])
    assert [step.tasks for step in table.npu] == [(0,), (2,)]


def test_memory_for_regions_that_begin_early_is_spent_within_the_limit_only() -> None:
    graph = two_branches(npu=True)
    places = [*[Place.CPU] * 3, *[Place.NPU] * 3, Place.CPU]
    plan = Plan("p", tuple(Decision(t.name, p) for t, p in zip(graph.tasks, places, strict=True)))
    free = make_table(graph, plan)
    least = make_table(graph, Plan("cpu", tuple(Decision(t.name, Place.CPU) for t in graph.tasks)))
    tight = make_table(graph, plan, limit_bytes=least.arena_bytes)
    assert least.arena_bytes < free.arena_bytes
    assert tight.arena_bytes <= least.arena_bytes
    assert [step.npu for step in free.cpu] == [1, 0, 0, 0, -1, 0]
    assert [step.npu for step in tight.cpu] == [0, 0, 0, 1, -1, 0]


def cut_between_cpu_and_npu(cut: int, rows: int = 8) -> tuple[TaskGraph, Plan]:
    """Three tasks of rows of 512 bytes; the one in the middle is shared."""
    graph = chain(3, npu=True, rows=Grid(rows))
    own = RowSpan(0, 4096 // rows, 4096 // rows)
    tasks = tuple(
        dataclasses.replace(task, row_spans=(own, own), npu_rows=rows, npu_columns=16)
        for task in graph.tasks
    )
    shared = Decision("task1", Place.SPLIT, Axis.ROWS, cut, partner=Place.NPU)
    others = (Decision(name, Place.CPU) for name in ("task0", "task2"))
    return dataclasses.replace(graph, tasks=tasks), Plan("p", (shared, *others))


def test_the_cpu_computes_its_part_while_the_npu_has_the_other() -> None:
    graph, plan = cut_between_cpu_and_npu(3)
    table = make_table(graph, plan)
    assert table.npu == (NpuStep((1,), (1,), (2,), row_begin=3, row_end=8, channel_end=4),)
    assert [(s.task, s.npu, s.row_begin, s.row_end) for s in table.cpu] == [
        *((0, 0, 0, 8), (1, 1, 3, 8), (1, 0, 0, 3), (1, -1, 3, 8), (2, 0, 0, 8))
    ]
    assert StepTable.from_json(json.loads(json.dumps(table.to_json()))) == table


def test_channels_are_shared_too() -> None:
    graph, plan = cut_between_cpu_and_npu(3)
    shared = dataclasses.replace(plan.decisions[0], axis=Axis.CHANNELS)
    table = make_table(graph, dataclasses.replace(plan, decisions=(shared, *plan.decisions[1:])))
    assert table.npu == (NpuStep((1,), (1,), (2,), 0, 8, 3, 4),)
    assert [(s.task, s.npu, s.row_end, s.channel_begin, s.channel_end) for s in table.cpu] == [
        *((0, 0, 8, 0, 4), (1, 1, 8, 3, 4), (1, 0, 8, 0, 3), (1, -1, 8, 3, 4), (2, 0, 8, 0, 4))
    ]
    assert StepTable.from_json(json.loads(json.dumps(table.to_json()))) == table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cut": 0}, "cut 0 leaves one side nothing"),
        ({"cut": 8}, "cut 8 leaves one side nothing"),
        ({"cut": 4, "axis": Axis.CHANNELS}, "cut 4 leaves one side nothing"),
        ({"cut": 5, "axis": Axis.CHANNELS}, r"cut 5 along 'channels' is outside 0\.\.4"),
        ({"mode": Mode.TICKETS, "ticket": 1}, "share tasks by a cut; set mode to 'static'"),
    ],
)
def test_cuts_that_cannot_be(change: dict[str, Any], message: str) -> None:
    graph, plan = cut_between_cpu_and_npu(3)
    wrong = dataclasses.replace(plan.decisions[0], **change)
    with pytest.raises(PlanError, match=message):
        make_table(graph, dataclasses.replace(plan, decisions=(wrong, *plan.decisions[1:])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"npu_rows": 0}, "its rows cannot be cut for the NPU"),
        ({"row_spans": ()}, "its rows cannot be cut for the NPU"),
        ({"npu": False}, "which takes it not"),
    ],
)
def test_tasks_that_cannot_be_shared(change: dict[str, Any], message: str) -> None:
    graph, plan = cut_between_cpu_and_npu(3)
    first, task, last = graph.tasks
    tasks = (first, dataclasses.replace(task, **change), last)
    with pytest.raises(PlanError, match=message):
        make_table(dataclasses.replace(graph, tasks=tasks), plan)


def test_channels_that_cannot_be_shared() -> None:
    graph, plan = cut_between_cpu_and_npu(3)
    first, task, last = graph.tasks
    graph = dataclasses.replace(
        graph, tasks=(first, dataclasses.replace(task, npu_columns=0), last)
    )
    shared = dataclasses.replace(plan.decisions[0], axis=Axis.CHANNELS)
    with pytest.raises(PlanError, match="its channels cannot be cut for the NPU"):
        make_table(graph, dataclasses.replace(plan, decisions=(shared, *plan.decisions[1:])))


def test_a_plan_file_says_with_whom_a_task_is_shared(tmp_path: Path) -> None:
    _, plan = cut_between_cpu_and_npu(3)
    path = tmp_path / "plan.json"
    write_plan(path, plan)
    assert read_plan(path) == plan
    text = path.read_text().replace('"partner": "npu"', '"partner": "cpu"')
    path.write_text(text)
    with pytest.raises(PlanError, match="'partner' must be one of gpu, npu"):
        read_plan(path)
