"""Placements of one layer: all of them, for the search, and what each is predicted to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hetcomp.cost.costs import Costs, SyncCost
from hetcomp.cost.times import Times, times_of
from hetcomp.cost.work import Part
from hetcomp.plan.candidates import candidates, parts_of
from hetcomp.plan.check import grid_of
from hetcomp.plan.contention import Contention
from hetcomp.plan.cuts import cut_at, last_cut
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Mode, Place
from hetcomp.plan.transfer import output_rows

__all__ = [
    "all_splits",
    "all_tickets",
    "alone",
    "halves",
    "neighbours",
    "planned",
    "predict_us",
    "share_text",
    "steps_of",
]

_MOST_CUTS = 64
"""Cuts along one axis; longer axes are searched in equal strides, and then round the best."""
_TICKETS = (8, 16, 32)
"""Tickets of a layer, as many as are tried."""


def alone(task: Task) -> tuple[Decision, Decision]:
    """Either processor alone: CPU, GPU."""
    return Decision(task.name, Place.CPU), Decision(task.name, Place.GPU)


def all_splits(task: Task) -> tuple[Decision, ...]:
    """Every legal cut along both axes."""
    return tuple(
        _split(task, axis, cut)
        for axis in Axis
        for cut in range(1, grid_of(task, axis).extent, _stride(task, axis))
        if _legal(task, axis, cut)
    )


def all_tickets(graph: TaskGraph) -> tuple[Decision, ...]:
    """Tickets of several sizes along both axes of the first task, where its kernel can take any."""
    task = graph.tasks[0]
    if graph.kernels[task.kernel].items != (1, 1):
        return ()
    grids = ((axis, grid_of(task, axis)) for axis in Axis)
    return tuple(
        replace(_split(task, axis, last_cut(grid)), mode=Mode.TICKETS, ticket=size)
        for axis, grid in grids
        if last_cut(grid)
        for size in sorted({max(1 + grid.ragged, grid.extent // count) for count in _TICKETS})
    )


def planned(graph: TaskGraph, costs: Costs) -> tuple[Decision, ...]:
    """The placements of the first task of `graph` that the planner considers."""
    first = replace(graph, tasks=graph.tasks[:1]), replace(costs, tasks=costs.tasks[:1])
    plain = (choice.decision for choice in candidates(*first)[0])
    return tuple(replace(decision, cpu_us=None, gpu_us=None) for decision in plain)


def neighbours(task: Task, decision: Decision) -> tuple[Decision, ...]:
    """Legal cuts round a split that the strides of `all_splits` left out."""
    if decision.place is not Place.SPLIT:
        return ()
    reach, cut = _stride(task, decision.axis) - 1, decision.cut
    extent = grid_of(task, decision.axis).extent
    return tuple(
        _split(task, decision.axis, near)
        for near in range(max(1, cut - reach), min(extent - 1, cut + reach) + 1)
        if near != cut and _legal(task, decision.axis, near)
    )


def share_text(task: Task, decision: Decision) -> str:
    """For people: `cpu`, `gpu`, the tiles of the CPU, or the size of a ticket."""
    if decision.place is not Place.SPLIT:
        return str(decision.place.value)
    if decision.mode is Mode.TICKETS:
        return f"{decision.ticket} {decision.axis.value} a ticket"
    return f"{decision.axis.value} {decision.cut}/{grid_of(task, decision.axis).extent}"


def steps_of(task: Task, decision: Decision) -> tuple[Part | None, Part | None, int]:
    """What CPU and GPU are given, and the ticket as a step has it."""
    if decision.mode is not Mode.TICKETS:
        return (*parts_of(0, task, decision), 0)
    cpu, gpu = alone(task)
    ticket = decision.ticket if decision.axis is Axis.ROWS else -decision.ticket
    return parts_of(0, task, cpu)[0], parts_of(0, task, gpu)[1], ticket


def halves(task: Task) -> tuple[Part, ...]:
    """Either half along both axes, the first ones for the CPU: what `compile` measures too."""
    splits = (
        _split(task, axis, cut_at(grid_of(task, axis), 0.5))
        for axis in Axis
        if last_cut(grid_of(task, axis))
    )
    return tuple(part for split in splits for part in parts_of(0, task, split) if part)


def predict_us(
    graph: TaskGraph,
    decisions: Sequence[Decision],
    times: Times,
    sync: SyncCost,
    contention: Contention | None = None,
) -> NDArray[np.float64]:
    """Time of the first task of `graph` under each of `decisions`, shape (len(decisions),).

    The slower part decides; the GPU's is launched, and the parts of a split slow each other down,
    meet at a border and wait for each other.
    """
    task, slow = graph.tasks[0], contention or Contention.none(1)
    pairs = [parts_of(0, task, decision) for decision in decisions]
    known = times_of(times, (part for pair in pairs for part in pair if part is not None))
    border_us = sync.border_us(output_rows(graph, task))

    def time_us(decision: Decision, cpu: Part | None, gpu: Part | None) -> float:
        cpu_us = known[cpu] if cpu else 0.0
        gpu_us = known[gpu] + sync.gpu_launch_us if gpu else 0.0
        if not cpu or not gpu:
            return cpu_us + gpu_us
        own_us = border_us if decision.axis is Axis.CHANNELS else 0.0
        return max(cpu_us * slow.cpu[0], gpu_us * slow.gpu[0]) + own_us + sync.split_us

    return np.array([time_us(d, *pair) for d, pair in zip(decisions, pairs, strict=True)])


def _stride(task: Task, axis: Axis) -> int:
    return math.ceil(grid_of(task, axis).extent / _MOST_CUTS)


def _legal(task: Task, axis: Axis, cut: int) -> bool:
    return grid_of(task, axis).legal_cut(cut) == cut


def _split(task: Task, axis: Axis, cut: int) -> Decision:
    return Decision(task.name, Place.SPLIT, axis, cut)
