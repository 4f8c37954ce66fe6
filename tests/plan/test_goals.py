"""Objectives, the cap on the GPU, granularities and the memory limit, on made-up times."""

from __future__ import annotations

import pytest
from plan_graphs import GraphBuilder, chain, two_branches

from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.errors import InputError, PlanError
from hetcomp.goal import Goal
from hetcomp.plan.by_times import by_times
from hetcomp.plan.granularity import unit_starts
from hetcomp.plan.graph import Grid, TaskGraph
from hetcomp.plan.plan import Place, Plan
from hetcomp.plan.planners import single
from hetcomp.plan.simulate import Simulation, Simulator, measured_times
from hetcomp.plan.steps import make_table
from hetcomp.plan.trial import Trial, best_for

SYNC = SyncCost()


def residual() -> TaskGraph:
    """A chain of two, a fork to a branch of two and a short cut, their join, and a last task."""
    builder = GraphBuilder()
    t = [builder.tensor(1 << 14) for _ in range(8)]
    fields = {"rows": Grid(16), "channels": Grid(1)}
    for reads, writes in (((0,), 1), ((1,), 2), ((2,), 3), ((3,), 4), ((2, 4), 5), ((5,), 6)):
        builder.task([t[i] for i in reads], [t[writes]], **fields)  # type: ignore[arg-type]
    return builder.graph(t[:1], [t[6]])


def simulated(graph: TaskGraph, costs: Costs, plan: Plan) -> Simulation:
    return Simulator(graph, measured_times(graph, costs, SYNC), SYNC).run(make_table(graph, plan))


def costs_of(graph: TaskGraph, cpu_us: float, gpu_us: float) -> Costs:
    return Costs((TaskCost(cpu_us, gpu_us),) * len(graph.tasks))


def labels(plan: Plan) -> list[tuple[Place, float]]:
    return [(decision.place, decision.cut) for decision in plan.decisions]


def test_units_of_a_residual_block() -> None:
    graph = residual()
    assert unit_starts(graph, "operator") == (True,) * 6
    assert unit_starts(graph, "chain") == (True, False, True, False, True, False)
    # The block from the fork to the join, with the task that only continues it.
    assert unit_starts(graph, "subgraph") == (True, False, True, False, False, False)
    assert unit_starts(graph, "model") == (True,) + (False,) * 5


@pytest.mark.parametrize("granularity", ["chain", "subgraph", "model"])
def test_a_unit_is_placed_alike(granularity: str) -> None:
    graph = residual()
    costs = Costs(tuple(TaskCost(400.0, 300.0 + 100 * i) for i in range(6)))
    plan = by_times(graph, costs, SYNC, goal=Goal(granularity=granularity))
    starts = unit_starts(graph, granularity)
    for index, start in enumerate(starts):
        if not start:
            assert labels(plan)[index] == labels(plan)[index - 1]
    assert f"every {granularity} alike" in plan.decisions[0].reason
    finer = by_times(graph, costs, SYNC)
    assert (finer.predicted_us or 0) <= (plan.predicted_us or 0) * 1.001


@pytest.mark.parametrize("cap", [0.0, 0.1, 0.25, 0.4])
def test_the_gpu_keeps_its_cap(cap: float) -> None:
    graph = chain(12, rows=Grid(32))
    costs = costs_of(graph, 300.0, 320.0)
    free = by_times(graph, costs, SYNC)
    plan = by_times(graph, costs, SYNC, goal=Goal(gpu_cap=cap))
    simulation = simulated(graph, costs, plan)
    assert simulation.gpu.busy_us <= cap * simulation.makespan_us
    assert (free.predicted_us or 0) < (plan.predicted_us or 0) <= 12 * 300.0 + 1e-6
    if cap >= 0.25:
        assert simulation.gpu.busy_us > 0.5 * cap * simulation.makespan_us


def test_the_cap_of_a_pipeline_is_on_its_period() -> None:
    graph = chain(12, rows=Grid(32))
    costs = costs_of(graph, 300.0, 320.0)
    plan = by_times(graph, costs, SYNC, goal=Goal("throughput", gpu_cap=0.4))
    simulation = simulated(graph, costs, plan)
    period_us = max(simulation.cpu.busy_us, simulation.gpu.busy_us)
    assert 0.2 * period_us < simulation.gpu.busy_us <= 0.4 * period_us


def test_a_plan_is_predicted_with_the_memory_that_it_will_have() -> None:
    graph = two_branches(rows=Grid(1), channels=Grid(1))
    costs = costs_of(graph, 100.0, 100.0)
    free = by_times(graph, costs, SYNC)
    assert (free.predicted_us or 0.0) < 410.0
    limit = make_table(graph, free, room=1.0).arena_bytes
    table = make_table(graph, free, limit_bytes=limit)  # branches that share memory wait
    run = Simulator(graph, measured_times(graph, costs, SYNC), SYNC).run(table)
    assert run.makespan_us > 700.0
    assert by_times(graph, costs, SYNC, limit_bytes=limit).predicted_us == 700.0


def test_a_cap_holds_for_the_measured_time() -> None:
    graph = chain(12, rows=Grid(32))
    costs = costs_of(graph, 300.0, 320.0)
    goal = Goal(gpu_cap=0.3)
    simulation = simulated(graph, costs, by_times(graph, costs, SYNC, goal=goal))
    busy_us = simulation.gpu.busy_us
    assert Trial(simulation, busy_us / 0.29).keeps_cap(goal)
    assert not Trial(simulation, busy_us / 0.31).keeps_cap(goal)
    assert Trial(simulation, 0.5 * busy_us).keeps_cap(Goal())


@pytest.mark.parametrize(("shared_us", "best"), [(300.0, 0), (700.0, 1)])
def test_plans_are_judged_by_measured_times(shared_us: float, best: int) -> None:
    graph = chain(2, rows=Grid(1), channels=Grid(1))
    costs, goal = costs_of(graph, 100.0, 110.0), Goal("throughput")
    shared = simulated(graph, costs, by_times(graph, costs, SYNC, goal=goal))
    alone = simulated(graph, costs, single(graph, Place.CPU))
    trials = [Trial(shared, shared_us), Trial(alone, 200.0)]
    assert trials[1].achieved(goal) == pytest.approx(200.0)
    assert trials[0].achieved(Goal()) == pytest.approx(shared_us)
    assert best_for(goal, trials, [0, 1]) == best
    assert best_for(Goal(), trials, [0, 1]) == 1


def test_energy_goes_where_it_costs_least() -> None:
    graph = chain(4, rows=Grid(32))
    costs = costs_of(graph, 300.0, 500.0)
    frugal = by_times(graph, costs, SYNC, goal=Goal("energy", cpu_watts=4.0, gpu_watts=1.0))
    assert {decision.place for decision in frugal.decisions} == {Place.GPU}
    hungry = by_times(graph, costs, SYNC, goal=Goal("energy", cpu_watts=1.0, gpu_watts=4.0))
    assert {decision.place for decision in hungry.decisions} == {Place.CPU}
    assert hungry.decisions[0].reason.endswith("for energy at cpu 1 W, gpu 4 W")


def test_throughput_balances_work_not_waits() -> None:
    graph = chain(2, rows=Grid(1), channels=Grid(1))
    costs = costs_of(graph, 100.0, 110.0)
    plan = by_times(graph, costs, SYNC, goal=Goal("throughput"))
    assert {decision.place for decision in plan.decisions} == {Place.CPU, Place.GPU}


@pytest.mark.parametrize(
    "fields",
    [
        {"objective": "speed"},
        {"granularity": "layer"},
        {"gpu_cap": 1.5},
        {"gpu_cap": float("nan")},
        {"cpu_watts": 0.0},
        {"gpu_watts": float("inf")},
    ],
)
def test_a_wrong_goal_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Goal(**fields)  # type: ignore[arg-type]


def test_memory_keeps_its_limit_or_says_what_it_needs() -> None:
    graph = chain(6, size_bytes=1 << 16, rows=Grid(16))
    plan = by_times(graph, costs_of(graph, 500.0, 900.0), SYNC)
    least = make_table(graph, plan, room=1.0).arena_bytes
    assert make_table(graph, plan, limit_bytes=least).arena_bytes == least
    with pytest.raises(PlanError, match=f"need {least} bytes of memory, the limit is {least - 1}"):
        make_table(graph, plan, limit_bytes=least - 1)
