"""Step tables of small graphs, written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plan_graphs import GraphBuilder, chain

from hetcomp.errors import PlanError
from hetcomp.plan.graph import Grid, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan
from hetcomp.plan.planners import fixed_split, single
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import Step, StepTable


def plan_of(graph: TaskGraph, *places: Place, cut: int = 4) -> Plan:
    pairs = zip(graph.tasks, places, strict=True)
    return Plan("p", tuple(Decision(t.name, place, cut=cut) for t, place in pairs))


def test_cpu_plan_has_no_gpu_steps_and_no_signals() -> None:
    table = make_table(chain(2), single(chain(2), Place.CPU))
    assert table.gpu == ()
    assert table.cpu == (Step(0, 0, 8, 0, 4, 0, False), Step(1, 0, 8, 0, 4, 0, False))


def test_gpu_plan_signals_at_its_end_only() -> None:
    table = make_table(chain(3), single(chain(3), Place.GPU))
    assert table.cpu == ()
    assert [step.signal for step in table.gpu] == [False, False, True]


@pytest.mark.parametrize(("axis", "ticket"), [(Axis.ROWS, 2), (Axis.CHANNELS, -2)])
def test_tickets_are_two_steps_over_the_whole(axis: Axis, ticket: int) -> None:
    graph = chain(2)
    decisions = (Decision(t.name, Place.SPLIT, axis, 1, Mode.TICKETS, 2, 0, 1) for t in graph.tasks)
    table = make_table(graph, Plan("p", tuple(decisions)))
    assert table.cpu[0] == Step(0, 0, 8, 0, 4, 0, True, ticket, leave=0, cut=1)
    assert table.gpu[0] == replace(table.cpu[0], leave=1)
    assert table.cpu[1] == Step(1, 0, 8, 0, 4, 1, False, ticket, leave=0, cut=1)
    assert table.gpu[1] == Step(1, 0, 8, 0, 4, 1, True, ticket, leave=1, cut=1)


def test_split_chain_waits_one_behind_on_both_sides() -> None:
    table = make_table(chain(3), fixed_split(chain(3), 0.25))
    assert table.cpu[0] == Step(0, 0, 2, 0, 4, 0, True)
    assert table.gpu[0] == Step(0, 2, 8, 0, 4, 0, True)
    assert [step.wait for step in table.cpu] == [0, 1, 2]
    assert [step.wait for step in table.gpu] == [0, 1, 2]
    assert [step.signal for step in table.cpu] == [True, True, False]


def test_split_by_channels_cuts_the_channel_range() -> None:
    table = make_table(chain(1), fixed_split(chain(1), 0.5, Axis.CHANNELS))
    assert table.cpu == (Step(0, 0, 8, 0, 2, 0, False),)
    assert table.gpu == (Step(0, 0, 8, 2, 4, 0, True),)


@pytest.mark.parametrize(("cut", "sizes"), [(0, (0, 1)), (8, (1, 0))])
def test_empty_half_makes_no_step(cut: int, sizes: tuple[int, int]) -> None:
    graph = chain(1)
    table = make_table(graph, plan_of(graph, Place.SPLIT, cut=cut))
    assert (len(table.cpu), len(table.gpu)) == sizes


def test_wait_already_done_is_not_repeated() -> None:
    builder = GraphBuilder()
    x, a, b, c = (builder.tensor() for _ in range(4))
    builder.task([x], [a])
    builder.task([a], [b])
    builder.task([a, b], [c])
    graph = builder.graph([x, a], [a, b, c])
    table = make_table(graph, plan_of(graph, Place.GPU, Place.CPU, Place.CPU))
    assert [step.wait for step in table.cpu] == [1, 0]


def test_branches_without_common_memory_do_not_wait() -> None:
    builder = GraphBuilder()
    x, a, b = (builder.tensor() for _ in range(3))
    builder.task([x], [a])
    builder.task([x], [b])
    graph = builder.graph([x], [a, b])
    table = make_table(graph, plan_of(graph, Place.GPU, Place.CPU))
    assert table.cpu[0].wait == table.gpu[0].wait == 0


def test_reused_memory_makes_the_writer_wait_for_the_reader() -> None:
    graph = chain(3)
    plan = plan_of(graph, Place.CPU, Place.GPU, Place.CPU)
    table = make_table(graph, plan, room=1.0)
    assert table.arena_bytes == 2 * 4096
    assert [step.wait for step in table.cpu] == [0, 1]


def test_table_survives_json_and_a_bad_plan_is_refused() -> None:
    graph = chain(2)
    table = make_table(graph, fixed_split(graph))
    assert StepTable.from_json(table.to_json()) == table
    with pytest.raises(PlanError, match="no decision for task 'task1'"):
        make_table(graph, Plan("p", (Decision("task0", Place.CPU),)))


def test_ragged_grid_of_two_tiles_stays_whole() -> None:
    graph = chain(1, rows=Grid(2, ragged=True), channels=Grid(1))
    assert fixed_split(graph).decisions[0].place is Place.CPU
