"""Which cuts of a task leave both processors at least one tile."""

from __future__ import annotations

from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Grid, Task
from hetcomp.plan.plan import Axis

__all__ = ["cut_at", "last_cut", "near_cuts", "other_axis", "split_axis"]

_NEIGHBOURS = (-0.125, -0.0625, -0.03125, 0.0, 0.03125, 0.0625, 0.125)
"""Shares tried on either side of the balanced one: a neighbour's cut may save a transfer."""


def other_axis(axis: Axis) -> Axis:
    """Return the axis that is not `axis`."""
    return Axis.CHANNELS if axis is Axis.ROWS else Axis.ROWS


def last_cut(grid: Grid) -> int:
    """Highest cut that leaves the GPU something; 0 where no cut leaves both something."""
    return max(0, grid.legal_cut(grid.extent - 1))


def split_axis(task: Task, wanted: Axis) -> Axis | None:
    """`wanted` where it can be cut, else the other axis, else None."""
    for axis in (wanted, other_axis(wanted)):
        if last_cut(grid_of(task, axis)) > 0:
            return axis
    return None


def cut_at(grid: Grid, share: float) -> int:
    """Legal cut nearest to `share` that leaves both sides a tile; needs `last_cut(grid) > 0`."""
    return max(1, min(grid.legal_cut(round(share * grid.extent)), last_cut(grid)))


def near_cuts(task: Task, axis: Axis, share: float) -> tuple[int, ...]:
    """Legal cuts round `share`, the cuts at whole heads among them, in ascending order."""
    grid = grid_of(task, axis)
    ideal = share * grid.extent
    cuts = {cut_at(grid, share + step) for step in _NEIGHBOURS}
    cuts |= {cut_at(grid, (int(ideal) + more) / grid.extent) for more in (0, 1)}
    if axis is Axis.ROWS and task.heads > 1:
        per_head = max(1, grid.extent // task.heads)
        cuts.add(cut_at(grid, round(ideal / per_head) * per_head / grid.extent))
    return tuple(sorted(cuts))
