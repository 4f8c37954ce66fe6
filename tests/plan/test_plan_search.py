"""What the search over the task order finds, on prices made up so that the answer is known."""

from __future__ import annotations

import time

import pytest
from plan_graphs import GraphBuilder, chain, two_branches

from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.plan.by_times import by_times
from hetcomp.plan.candidates import candidates
from hetcomp.plan.contention import Contention
from hetcomp.plan.graph import Grid, TaskGraph
from hetcomp.plan.objective import THROUGHPUT, energy
from hetcomp.plan.plan import Axis, Place
from hetcomp.plan.problem import Problem, make_problem
from hetcomp.plan.search import search
from hetcomp.plan.simulate import Simulator, measured_times
from hetcomp.plan.steps import make_table

FREE = SyncCost(0, 0, 0, 0, 0, 0, 0, 0, 0)


def costs_of(graph: TaskGraph, *times: tuple[float, float | None]) -> Costs:
    """One pair for every task, the last one for all that follow."""
    pairs = [times[min(i, len(times) - 1)] for i in range(len(graph.tasks))]
    return Costs(tuple(TaskCost(*pair) for pair in pairs))


def problem_of(graph: TaskGraph, costs: Costs, sync: SyncCost = FREE) -> Problem:
    return make_problem(graph, candidates(graph, costs), measured_times(graph, costs, sync), sync)


def test_branches_run_side_by_side() -> None:
    graph = two_branches(rows=Grid(1), channels=Grid(1))
    costs = costs_of(graph, (100.0, 100.0))
    plan = by_times(graph, costs, FREE)
    places = [decision.place for decision in plan.decisions]
    assert len(set(places[:3])) == len(set(places[3:6])) == 1
    assert places[0] != places[3]
    assert plan.predicted_us == pytest.approx(400.0)


def test_a_chain_keeps_its_cuts_aligned_where_lines_are_dear() -> None:
    graph = chain(6, size_bytes=1 << 20, rows=Grid(64))
    costs = costs_of(graph, *[(1000.0, 1000.0), (1000.0, 1300.0)] * 3)

    def cuts(sync: SyncCost) -> list[int]:
        plan = by_times(graph, costs, sync)
        assert {decision.axis for decision in plan.decisions} == {Axis.ROWS}
        return [decision.cut for decision in plan.decisions]

    assert cuts(FREE) == [32, 36] * 3
    dear = cuts(SyncCost(to_cpu_line_ns=200.0, to_gpu_line_ns=200.0, wake_us=0.0))
    assert dear == sorted(dear, reverse=True)  # the GPU takes over the host's input bit by bit


def test_an_axis_that_is_not_preferred_is_taken_where_it_is_cheaper() -> None:
    """Between row cuts a cut by channels would move the whole tensor twice."""
    builder = GraphBuilder()
    tensors = [builder.tensor(1 << 20) for _ in range(4)]
    for i, axis in enumerate(("rows", "channels", "rows")):
        builder.task(
            tensors[i : i + 1], tensors[i + 1 : i + 2], rows=Grid(64), channels=Grid(64), axis=axis
        )
    graph = builder.graph(tensors[:1], tensors[3:])
    plan = by_times(graph, costs_of(graph, (500.0, 500.0)), SyncCost())
    assert [decision.axis for decision in plan.decisions] == [Axis.ROWS] * 3


def test_throughput_shares_work_without_waits() -> None:
    """One task on either processor is slow for one request, and free for many."""
    graph = chain(2, rows=Grid(1), channels=Grid(1))
    problem = problem_of(graph, costs_of(graph, (100.0, 110.0)))
    assert search(problem).value == pytest.approx(200.0)
    assert search(problem, THROUGHPUT).value == pytest.approx(110.0)


def test_energy_takes_the_frugal_processor() -> None:
    graph = chain(3)
    problem = problem_of(graph, costs_of(graph, (100.0, 150.0)))
    frugal = search(problem, energy(cpu_watts=2.0, gpu_watts=1.0))
    assert frugal.picks == (1, 1, 1)  # all on the GPU


def test_a_large_network_is_planned_in_time() -> None:
    graph = chain(413, rows=Grid(32), channels=Grid(16), size_bytes=1 << 16)
    begin = time.perf_counter()
    by_times(graph, costs_of(graph, (80.0, 90.0)), SyncCost())
    assert time.perf_counter() - begin < 20.0  # 1 s on an idle machine


@pytest.mark.parametrize(("slow", "share"), [((1.0, 1.0), 0.5), ((1.0, 3.0), 0.75)])
def test_splits_balance_what_contention_leaves(slow: tuple[float, float], share: float) -> None:
    graph = chain(2, rows=Grid(32), channels=Grid(1))
    costs, contention = costs_of(graph, (800.0, 800.0)), Contention((slow[0],) * 2, (slow[1],) * 2)
    plan = by_times(graph, costs, FREE, contention=contention)
    assert [decision.cut / 32 for decision in plan.decisions] == [share, share]
    assert plan.predicted_us == pytest.approx(2 * 800.0 * share)
    assert [decision.predicted_us for decision in plan.decisions] == [800.0 * share] * 2
    simulator = Simulator(graph, measured_times(graph, costs, FREE), FREE, contention)
    assert simulator.run(make_table(graph, plan)).makespan_us == plan.predicted_us


def test_nothing_is_split_where_contention_takes_all_that_it_gains() -> None:
    graph = chain(2, rows=Grid(32), channels=Grid(1))
    contention = Contention((2.5,) * 2, (2.5,) * 2)
    plan = by_times(graph, costs_of(graph, (800.0, 900.0)), FREE, contention=contention)
    assert {decision.place for decision in plan.decisions} == {Place.CPU}
    assert plan.predicted_us == pytest.approx(1600.0)
