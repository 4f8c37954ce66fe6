"""The planner that works from measured times: a dynamic programme over the task order.

For every task the candidates are the CPU, the GPU, and cuts round the one that balances both.
The programme keeps, for each candidate of the last task, the cheapest way to get there, so that
hand-overs and transfers between tasks are priced; an input made further back is priced by that
way's own choice for its maker. Branches are priced as if they ran one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hetcomp.cost.costs import Costs, SyncCost
from hetcomp.errors import InternalError
from hetcomp.plan.cuts import near_cuts, split_axis
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.pricing import Price, Pricer
from hetcomp.plan.reasons import reason_for
from hetcomp.plan.simulate import Simulator, measured_times
from hetcomp.plan.steps import make_table
from hetcomp.plan.transfer import Share, share_of

__all__ = ["by_times"]


@dataclass(frozen=True)
class _Choice:
    """A candidate placement of one task."""

    decision: Decision
    share: Share


@dataclass(frozen=True)
class _Path:
    """Choices for the first tasks, what they cost, and the price of each."""

    choices: tuple[_Choice, ...]
    prices: tuple[Price, ...]
    total_us: float

    def share(self, task: int) -> Share:
        return self.choices[task].share


def by_times(graph: TaskGraph, costs: Costs, sync: SyncCost, name: str = "auto") -> Plan:
    """Place or split every task so that the predicted time of the network is least.

    Parameters
    ----------
    graph
        The tasks in execution order.
    costs
        Measured time of every task on either processor.
    sync
        What splitting, handing over and waking the device cost.
    name
        Name of the plan.

    Returns
    -------
    Plan
        Every decision carries its figures and its reason; `predicted_us` is the simulated time.
        The CPU takes everything where sharing does not pay for waking the device.
    """
    if len(costs.tasks) != len(graph.tasks):
        raise InternalError(f"{len(costs.tasks)} costs for {len(graph.tasks)} tasks")
    pricer = Pricer(graph, costs, sync)
    candidates = [_candidates(graph, pricer, index) for index in range(len(graph.tasks))]
    shared = _plan(graph, pricer, candidates, candidates, name)
    cpu_only = [options[:1] for options in candidates]
    alone = _plan(graph, pricer, cpu_only, candidates, name)
    simulator = Simulator(graph, measured_times(graph, costs, sync), sync)
    shared, alone = (
        replace(plan, predicted_us=simulator.run(make_table(graph, plan)).makespan_us)
        for plan in (shared, alone)
    )
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


def _plan(
    graph: TaskGraph,
    pricer: Pricer,
    allowed: list[list[_Choice]],
    considered: list[list[_Choice]],
    name: str,
) -> Plan:
    """The cheapest plan of `allowed` choices; reasons speak of those `considered`."""
    paths = [_Path((), (), 0.0)]
    for index, options in enumerate(allowed):
        paths = [_cheapest(paths, pricer, index, choice) for choice in options]
    best = min(paths, key=lambda path: path.total_us)
    decisions = []
    for index, (choice, price) in enumerate(zip(best.choices, best.prices, strict=True)):
        splits = [option.share for option in considered[index] if option.share.split]
        decisions.append(
            replace(
                choice.decision,
                predicted_us=round(price.total_us, 3),
                reason=reason_for(graph, pricer, index, choice.share, price, splits),
            )
        )
    return Plan(name, tuple(decisions))


def _cheapest(paths: list[_Path], pricer: Pricer, index: int, choice: _Choice) -> _Path:
    """The cheapest of `paths`, extended by `choice` for task `index`."""
    priced = [(path, pricer.price(index, choice.share, path.share)) for path in paths]
    path, price = min(priced, key=lambda pair: pair[0].total_us + pair[1].total_us)
    # Every step of the GPU delays the start of both.
    enqueue_us = pricer.sync.enqueue_us if choice.share.cpu < 1.0 else 0.0
    total_us = path.total_us + price.total_us + enqueue_us
    return _Path((*path.choices, choice), (*path.prices, price), total_us)


def _candidates(graph: TaskGraph, pricer: Pricer, index: int) -> list[_Choice]:
    """The placements worth pricing; the CPU alone is the first."""
    task, cost = graph.tasks[index], pricer.costs.tasks[index]
    decision = Decision(task.name, Place.CPU, cpu_us=cost.cpu_us, gpu_us=cost.gpu_us)
    found = [_choice(task, decision)]
    if cost.gpu_us is None or not graph.kernels[task.kernel].opencl:
        return found
    found.append(_choice(task, replace(decision, place=Place.GPU)))
    axis = split_axis(task, Axis(task.preferred_axis))
    if axis is None:
        return found
    both = cost.cpu_us + cost.gpu_us
    balanced = cost.gpu_us / both if both > 0.0 else 0.5
    for cut in near_cuts(task, axis, balanced):
        found.append(_choice(task, replace(decision, place=Place.SPLIT, axis=axis, cut=cut)))
    return found


def _choice(task: Task, decision: Decision) -> _Choice:
    return _Choice(decision, share_of(task, decision))
