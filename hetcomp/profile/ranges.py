"""Which parts of a task are timed: the whole, and cuts along either axis."""

from __future__ import annotations

import numpy as np

from hetcomp.cost.work import Part
from hetcomp.plan.graph import Grid, Task

__all__ = ["parts_of"]

_LEAST, _MOST = 1 / 8, 7 / 8


def parts_of(
    index: int, task: Task, processor: str, cuts: int, rng: np.random.Generator
) -> list[Part]:
    """The whole task, `cuts` parts along its preferred axis and half as many along the other one.

    The CPU takes the first tiles and the GPU the last, as in a plan. In random order, as those that
    are timed first find the caches as something else has left them.
    """
    found = [_part(index, task, processor, None, 0)]
    for axis, n in _shares(task, cuts):
        grid = task.rows if axis == "rows" else task.channels
        parts = (rng.permutation(n) + rng.random(n)) / n
        places = {_cut(grid, _LEAST + (_MOST - _LEAST) * float(part)) for part in parts}
        found += [_part(index, task, processor, axis, cut) for cut in sorted(places)]
    return [found[i] for i in rng.permutation(len(found))]


def _shares(task: Task, cuts: int) -> list[tuple[str, int]]:
    other = "channels" if task.preferred_axis == "rows" else "rows"
    wanted = [(task.preferred_axis, cuts), (other, (cuts + 1) // 2)]
    grids = {"rows": task.rows, "channels": task.channels}
    return [
        (axis, n) for axis, n in wanted if _cut(grids[axis], 0.5) not in (0, grids[axis].extent)
    ]


def _cut(grid: Grid, part: float) -> int:
    inner = max(1, min(grid.extent - 1, round(part * grid.extent)))
    return grid.legal_cut(inner)


def _part(index: int, task: Task, processor: str, axis: str | None, cut: int) -> Part:
    rows, channels = (0, task.rows.extent), (0, task.channels.extent)
    if axis == "rows":
        rows = (0, cut) if processor == "cpu" else (cut, rows[1])
    if axis == "channels":
        channels = (0, cut) if processor == "cpu" else (cut, channels[1])
    return Part(index, processor, *rows, *channels)
