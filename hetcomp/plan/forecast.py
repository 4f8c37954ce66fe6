"""What the plans of one model would take, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from hetcomp.cost.costs import Costs, TaskCost
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Plan

__all__ = ["noted_costs"]


def noted_costs(graph: TaskGraph, plans: Sequence[Plan]) -> Costs | None:
    """Times of whole tasks that were measured when the model was compiled; None where none were.

    They stand in the decisions of the first of `plans` that has them all.
    """
    for plan in plans:
        by_task = {decision.task: decision for decision in plan.decisions}
        found = [by_task[task.name] for task in graph.tasks]
        costs = [TaskCost(d.cpu_us, d.gpu_us) for d in found if d.cpu_us is not None]
        if len(costs) == len(found):
            return Costs(tuple(costs))
    return None
