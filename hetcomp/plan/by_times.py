"""The planner that works from times: candidates, their prices, a search, and the plan with reasons.

Every plan that leaves the device asleep is compared too, so that waking it must pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hetcomp.cost.costs import Costs, SyncCost
from hetcomp.cost.times import Times
from hetcomp.errors import InternalError
from hetcomp.plan.candidates import Choice, candidates
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.objective import LATENCY, Objective
from hetcomp.plan.plan import Plan
from hetcomp.plan.pricing import price
from hetcomp.plan.problem import Problem, make_problem
from hetcomp.plan.reasons import reason_for
from hetcomp.plan.search import Found, search
from hetcomp.plan.simulate import Simulator, measured_times
from hetcomp.plan.steps import make_table

__all__ = ["by_times"]


def by_times(
    graph: TaskGraph,
    costs: Costs,
    sync: SyncCost,
    name: str = "auto",
    *,
    times: Times | None = None,
    objective: Objective = LATENCY,
) -> Plan:
    """Place or split every task so that the predicted time of the network is least.

    Parameters
    ----------
    graph
        The tasks in execution order.
    costs
        Time of every task on either processor.
    sync
        What splitting, handing over and waking the device cost.
    name
        Name of the plan.
    times
        Times of parts of tasks; None takes those between the measured ones of `costs`.
    objective
        What to minimise.

    Returns
    -------
    Plan
        Every decision carries its figures and its reason; `predicted_us` is the simulated time.
        The CPU takes everything where sharing does not pay for waking the device.
    """
    if len(costs.tasks) != len(graph.tasks):
        raise InternalError(f"{len(costs.tasks)} costs for {len(graph.tasks)} tasks")
    times = times or measured_times(graph, costs, sync)
    choices = candidates(graph, costs)
    problem = make_problem(graph, choices, times, sync)
    found = search(problem, objective)
    gpu_steps = _gpu_steps(problem, found)
    if gpu_steps < len(graph.tasks) // 2:  # a small GPU part wakes up later than was assumed
        problem = make_problem(graph, choices, times, sync, gpu_steps)
        found = search(problem, objective)
    simulator = Simulator(graph, times, sync)
    cpu_only = Found((0,) * len(graph.tasks), 0.0)
    shared, alone = (
        _simulated(simulator, _plan(graph, choices, problem, one.picks, name))
        for one in (found, cpu_only)
    )
    return _cheaper(shared, alone)


def _gpu_steps(problem: Problem, found: Found) -> int:
    return sum(
        bool(options.on_gpu[pick]) for options, pick in zip(problem.tasks, found.picks, strict=True)
    )


def _cheaper(shared: Plan, alone: Plan) -> Plan:
    if _predicted(alone) > _predicted(shared) or shared.decisions == alone.decisions:
        return shared
    note = f"sharing the network is predicted at {_predicted(shared):.0f} µs with the wake-up of "
    note += f"the gpu, the cpu alone at {_predicted(alone):.0f} µs"
    decisions = tuple(
        own if own.place is other.place else replace(own, reason=f"{own.reason}; {note}")
        for own, other in zip(alone.decisions, shared.decisions, strict=True)
    )
    return replace(alone, decisions=decisions)


def _predicted(plan: Plan) -> float:
    return plan.predicted_us or 0.0


def _simulated(simulator: Simulator, plan: Plan) -> Plan:
    simulation = simulator.run(make_table(simulator.graph, plan))
    return replace(plan, predicted_us=simulation.makespan_us)


def _plan(
    graph: TaskGraph,
    choices: Sequence[Sequence[Choice]],
    problem: Problem,
    picks: Sequence[int],
    name: str,
) -> Plan:
    decisions = []
    for index, pick in enumerate(picks):
        cost = price(problem, index, picks)
        reason = reason_for(graph, index, choices[index], problem.tasks[index], pick, cost)
        decision = choices[index][pick].decision
        decisions.append(replace(decision, predicted_us=round(cost.total_us, 3), reason=reason))
    return Plan(name, tuple(decisions))
