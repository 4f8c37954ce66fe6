"""A plan whose large splits are shared by tickets: whoever is free takes the next tiles."""

from __future__ import annotations

from dataclasses import replace

from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Decision, Mode, Place, Plan

__all__ = ["with_tickets"]

_WORTH_US = 100.0
"""Predicted time from which a task takes tickets: below, what they cost and the data that moves
outweighs what they even out (SqueezeNet and MobileNetV2 on two cores: 3% and 4% faster from 100 µs,
none and 3% from 30)."""
_TICKETS = 12
"""Tickets of a task: each side ends within one of the other."""
_LEAST_TILES = 4


def with_tickets(graph: TaskGraph, plan: Plan, name: str) -> Plan:
    """`plan` under another name with tickets for large splits, where their kernels can."""
    pairs = zip(graph.tasks, plan.decisions, strict=True)
    decisions = tuple(
        _by_tickets(task, decision) if _worth(graph, task, decision) else decision
        for task, decision in pairs
    )
    return replace(plan, name=name, decisions=decisions)


def _worth(graph: TaskGraph, task: Task, decision: Decision) -> bool:
    if decision.place is not Place.SPLIT or (decision.predicted_us or 0.0) < _WORTH_US:
        return False
    grid = grid_of(task, decision.axis)
    alone = graph.kernels[task.kernel].items == (1, 1)
    return alone and not grid.ragged and grid.extent >= _LEAST_TILES


def _by_tickets(task: Task, decision: Decision) -> Decision:
    ticket = max(1, grid_of(task, decision.axis).extent // _TICKETS)
    reason = f"{decision.reason}; by tickets of {ticket} tiles, as it takes over {_WORTH_US:.0f} µs"
    return replace(decision, mode=Mode.TICKETS, ticket=ticket, reason=reason)
