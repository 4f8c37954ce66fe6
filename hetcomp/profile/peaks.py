"""What each processor reaches at most: arithmetic within the caches, and copying by level."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from hetcomp.plan.table import Step
from hetcomp.profile.probes import COMPUTE, FIRST, Room, whole
from hetcomp.profile.tables import table_of
from hetcomp.profile.timing import Bench

__all__ = ["measure_peaks"]

_STEPS = 8
_REPS = 10
_NEAR_BYTES = 256 << 10
"""A block whose copy fits a second-level cache beside it."""


def measure_peaks(bench: Bench, room: Room, *, gpu: bool) -> Mapping[str, float]:
    """Floating-point operations and bytes per microsecond, by processor.

    `bytes_per_us` counts what is read and written of a block beyond the second-level cache,
    `near_bytes_per_us` of one within it.
    """
    far = room.block(FIRST, room.block_bytes)
    near = room.block(FIRST, _NEAR_BYTES)
    compute = whole(room.graph, COMPUTE)
    flops = room.graph.tasks[COMPUTE].flops
    found = {}
    for processor in ("cpu", "gpu") if gpu else ("cpu",):
        found[f"{processor}.flops_per_us"] = flops / _step_us(bench, room, compute, processor)
        far_us = _step_us(bench, room, far, processor)
        found[f"{processor}.bytes_per_us"] = 2 * room.block_bytes / far_us
        near_us = _step_us(bench, room, near, processor)
        found[f"{processor}.near_bytes_per_us"] = 2 * _NEAR_BYTES / near_us
    return found


def _step_us(bench: Bench, room: Room, step: Step, processor: str) -> float:
    steps = [step] * _STEPS
    layout = room.layout({FIRST: (0, 1)})
    if processor == "cpu":
        runs = bench.runs(table_of(layout, cpu=steps), _REPS)
        return median((run.cpu[-1].end_us - run.cpu[0].end_us) / (_STEPS - 1) for run in runs)
    runs = bench.runs(table_of(layout, gpu=steps), _REPS)
    return median((run.gpu_end_us[-1] - run.gpu_end_us[0]) / (_STEPS - 1) for run in runs)
