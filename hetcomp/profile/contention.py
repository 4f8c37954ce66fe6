"""Slow-down of either processor while the other one works: shared memory, caches, frequency."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from hetcomp.plan.table import Step
from hetcomp.profile.probes import COMPUTE, FIRST, SECOND, Room, whole
from hetcomp.profile.tables import Layout, table_of
from hetcomp.profile.timing import Bench

__all__ = ["measure_slow_down"]

_REPS = 8
_STEPS = 24
_LONGER = 1.3
"""The processor that is looked at works so much longer that the other one ends within its time."""


def measure_slow_down(bench: Bench, room: Room) -> Mapping[str, float]:
    """Factors on times by processor and by what bounds its kernel (`cpu.memory`, ...).

    Both processors run the same kind of kernel: one over blocks beyond the caches, or a product
    within them.
    """
    layout = room.layout({FIRST: (0, 1), SECOND: (2, 3)})
    memory = room.block(FIRST, room.block_bytes), room.block(SECOND, room.block_bytes)
    compute = whole(room.graph, COMPUTE)
    found = {}
    for bound, (one, other) in {"memory": memory, "compute": (compute, compute)}.items():
        found[f"cpu.{bound}"] = _slow_down(bench, layout, one, other, gpu=False)
        found[f"gpu.{bound}"] = _slow_down(bench, layout, one, other, gpu=True)
    return found


def _slow_down(bench: Bench, layout: Layout, one: Step, other: Step, *, gpu: bool) -> float:
    """Factor on the time of one processor's steps; the other one works for most of that time."""
    few, many = [other] * _STEPS, [one] * round(_STEPS * _LONGER)
    cpu, gpu_steps = (few, many) if gpu else (many, few)
    alone_us = _total_us(bench, layout, [] if gpu else many, many if gpu else [])
    both = [
        (max(run.total_us, 1e-3), run)
        for run in bench.runs(table_of(layout, cpu, gpu_steps), _REPS)
    ]
    factors = []
    for total_us, run in both:
        begin_us = run.cpu[0].start_us
        if gpu:
            overlap_us = run.cpu[-1].end_us - begin_us
            work_us = total_us - begin_us
        else:
            work_us = run.cpu[-1].end_us - begin_us
            overlap_us = work_us / _LONGER
        after_us = work_us - overlap_us
        factors.append(overlap_us / max(alone_us - after_us, 0.1 * alone_us))
    return max(1.0, median(factors))


def _total_us(bench: Bench, layout: Layout, cpu: list[Step], gpu: list[Step]) -> float:
    runs = bench.runs(table_of(layout, cpu, gpu), _REPS)
    if cpu:
        return median(run.cpu[-1].end_us - run.cpu[0].start_us for run in runs)
    steps = len(gpu)
    return median((run.gpu_end_us[-1] - run.gpu_end_us[0]) * steps / (steps - 1) for run in runs)
