"""What a cut by channels costs each row of the output, where both processors' parts meet.

Both halves of a product run side by side, once into one output and once into two; what the shared
output adds to either processor, divided by its rows, is the cost of a border.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean

from hetcomp.cost.samples import undisturbed
from hetcomp.plan.table import Step
from hetcomp.profile.probes import OTHER_ROWS, ROWS, Room, whole
from hetcomp.profile.tables import table_of
from hetcomp.profile.timing import Bench, cpu_us, gpu_us

__all__ = ["measure_border"]

_STEPS = 10
_REPS = 10


def measure_border(bench: Bench, room: Room) -> dict[str, float]:
    """`row_ns`: nanoseconds a row of the output, 0 where noise covered the difference."""
    grid = room.graph.tasks[ROWS].channels
    cut = grid.legal_cut(grid.extent // 2)
    first = replace(whole(room.graph, ROWS), channel_end=cut)
    second = replace(whole(room.graph, OTHER_ROWS), channel_begin=cut)
    together = _sides_us(bench, room, first, second, 1)
    apart = _sides_us(bench, room, first, second, 2)
    added = [a - b for a, b in zip(together, apart, strict=True) if not math.isnan(a - b)]
    return {"row_ns": max(0.0, fmean(added)) * 1000.0 / room.rows(ROWS)}


def _sides_us(
    bench: Bench, room: Room, first: Step, second: Step, place: int
) -> tuple[float, float]:
    """CPU's and GPU's time of a step, in step with each other; the GPU writes at `place`.

    NaN for a GPU that is always done first: the CPU finds its steps ended, and cannot tell when.
    """
    layout = room.layout({ROWS: (0, 1), OTHER_ROWS: (0, place)})
    cpu = [replace(first, wait=k) for k in range(_STEPS)]
    gpu = [replace(second, wait=k) for k in range(_STEPS)]
    table = table_of(layout, cpu=cpu, gpu=gpu)
    runs = bench.runs(table, _REPS)
    steps = range(2, _STEPS)
    one = [time_us for step in steps for time_us in cpu_us(runs, step)]
    other = [time_us for step in steps for time_us in gpu_us(table, runs, step)]
    return undisturbed(one), undisturbed(other) if other else math.nan
