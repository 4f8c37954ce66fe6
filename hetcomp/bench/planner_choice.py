"""Placements of one layer: all of them, for the search, and what each is predicted to take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hetcomp.cost.costs import SyncCost
from hetcomp.cost.times import Times
from hetcomp.cost.work import Part
from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Task
from hetcomp.plan.plan import Axis, Decision, Place

__all__ = ["all_splits", "alone", "halves", "neighbours", "predict_us", "share_text"]

_MOST_CUTS = 64
"""Cuts along one axis; longer axes are searched in equal strides, and then round the best."""


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
    """For people: `cpu`, `gpu`, or the tiles of the CPU."""
    if decision.place is not Place.SPLIT:
        return str(decision.place.value)
    return f"{decision.axis.value} {decision.cut}/{grid_of(task, decision.axis).extent}"


def halves(task: Task, decision: Decision) -> tuple[Part | None, Part | None]:
    """The parts of the CPU and of the GPU of task number 0."""
    rows, channels = task.rows.extent, task.channels.extent
    place, cut = decision.place, decision.cut
    if place is Place.CPU:
        return Part(0, "cpu", 0, rows, 0, channels), None
    if place is Place.GPU:
        return None, Part(0, "gpu", 0, rows, 0, channels)
    if decision.axis is Axis.ROWS:
        return Part(0, "cpu", 0, cut, 0, channels), Part(0, "gpu", cut, rows, 0, channels)
    return Part(0, "cpu", 0, rows, 0, cut), Part(0, "gpu", 0, rows, cut, channels)


def predict_us(
    task: Task, decisions: Sequence[Decision], times: Times, sync: SyncCost
) -> NDArray[np.float64]:
    """Time of the layer under each of `decisions`, shape (len(decisions),).

    The slower part decides; the GPU's is launched, and the parts of a split wait for each other.
    """
    pairs = [halves(task, decision) for decision in decisions]
    parts = list(dict.fromkeys(part for pair in pairs for part in pair if part is not None))
    known = dict(zip(parts, times.times_us(parts).tolist(), strict=True))

    def time_us(cpu: Part | None, gpu: Part | None) -> float:
        cpu_us = known[cpu] if cpu else 0.0
        gpu_us = known[gpu] + sync.gpu_launch_us if gpu else 0.0
        return max(cpu_us, gpu_us) + (sync.split_us if cpu and gpu else 0.0)

    return np.array([time_us(*pair) for pair in pairs])


def _stride(task: Task, axis: Axis) -> int:
    return math.ceil(grid_of(task, axis).extent / _MOST_CUTS)


def _legal(task: Task, axis: Axis, cut: int) -> bool:
    return grid_of(task, axis).legal_cut(cut) == cut


def _split(task: Task, axis: Axis, cut: int) -> Decision:
    return Decision(task.name, Place.SPLIT, axis, cut)
