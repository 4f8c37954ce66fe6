"""Plans for slower processors give them less, and add nothing that is there already."""

from __future__ import annotations

from plan_graphs import chain

from hetcomp.cost.costs import Costs, TaskCost
from hetcomp.goal import Goal
from hetcomp.plan.by_times import by_times
from hetcomp.plan.check import check_plan
from hetcomp.plan.forecast import Forecast, measured_forecast
from hetcomp.plan.graph import Grid, TaskGraph
from hetcomp.plan.ladder import ladder, same_placement
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Plan
from hetcomp.plan.planners import base_plans
from hetcomp.plan.steps import make_table

_N = 4


def _forecast(graph: TaskGraph, cpu_us: float = 4000.0, gpu_us: float = 4000.0) -> Forecast:
    return measured_forecast(graph, Costs((TaskCost(cpu_us, gpu_us),) * _N))


def _known(graph: TaskGraph, forecast: Forecast) -> tuple[Plan, ...]:
    return (by_times(graph, forecast.costs, forecast.sync), *base_plans(graph, forecast.costs))


def _cpu_us(graph: TaskGraph, forecast: Forecast, plan: Plan) -> float:
    return forecast.simulator(graph).run(make_table(graph, plan)).cpu.busy_us


def test_a_slower_processor_gets_less() -> None:
    graph = chain(_N, rows=Grid(64))
    forecast = _forecast(graph)
    known = _known(graph, forecast)
    rungs = {plan.name: plan for plan in ladder(graph, forecast, Goal(), known)}
    order = ("auto-cpu-x4", "auto-cpu-x2", "auto-cpu-x1.5", "auto-gpu-x1.5", "auto-gpu-x2")
    busy = [_cpu_us(graph, forecast, rungs[name]) for name in order]
    assert busy == sorted(busy)
    assert busy[0] < _cpu_us(graph, forecast, known[0]) < busy[-1]
    for plan in rungs.values():
        check_plan(graph, plan)
        assert all((one.cpu_us, one.gpu_us) == (4000.0, 4000.0) for one in plan.decisions)


def test_no_plan_comes_twice() -> None:
    graph = chain(_N, rows=Grid(2), channels=Grid(1))  # halves are all there is
    forecast = _forecast(graph)
    known = _known(graph, forecast)
    rungs = ladder(graph, forecast, Goal(), known)
    plans = [*known, *rungs]
    for index, plan in enumerate(rungs, len(known)):
        assert not any(same_placement(plan, other) for other in plans[:index])


def test_a_cap_on_the_gpu_holds_on_every_rung() -> None:
    graph = chain(_N, rows=Grid(64))
    forecast = _forecast(graph)
    goal = Goal(gpu_cap=0.3)
    simulator = forecast.simulator(graph)
    for plan in ladder(graph, forecast, goal, ()):
        if "-gpu-" in plan.name:
            simulation = simulator.run(make_table(graph, plan))
            assert simulation.gpu.busy_us <= 0.3 * simulation.makespan_us


def _replaceable(goal: Goal) -> list[str]:
    """Names of the plans that the runtime may change over to by itself."""
    graph = chain(_N, rows=Grid(64))
    forecast = _forecast(graph)
    known = _known(graph, forecast)
    placement = Placement(known, {}, forecast.simulator(graph), goal)
    tables = zip(known, placement.tables(graph), strict=True)
    return [plan.name for plan, table in tables if table.stands_in]


def test_only_plans_that_meet_the_goal_may_replace_others() -> None:
    every = _replaceable(Goal())
    assert "gpu" in every
    within_cap = _replaceable(Goal(gpu_cap=0.3))
    assert within_cap[0] == every[0]  # what was compiled for stays
    assert "cpu" in within_cap
    assert "gpu" not in within_cap
    assert _replaceable(Goal(objective="energy")) == every[:1]
