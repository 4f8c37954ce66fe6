"""Slow-down of either processor while the other one works: shared memory, caches, frequency."""

from __future__ import annotations

from collections.abc import Mapping

from hetcomp.cost.samples import undisturbed
from hetcomp.plan.table import Step
from hetcomp.profile.probes import COMPUTE, FIRST, SECOND, Room, whole
from hetcomp.profile.tables import Layout, table_of
from hetcomp.profile.timing import Bench, in_a_row_us

__all__ = ["measure_slow_down"]

_REPS = 8
_STEPS = 24
_AFTER = 6
"""Steps more of the processor that is looked at, so that it ends last and its end is seen."""


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
    """Factor on the time of one processor's steps while the other one works beside it."""
    processor = "gpu" if gpu else "cpu"
    step_us = in_a_row_us(bench, layout, one, processor, steps=_STEPS, reps=_REPS)
    many, few = [one] * (_STEPS + _AFTER), [other] * _STEPS
    runs = bench.runs(table_of(layout, *((few, many) if gpu else (many, few))), _REPS)
    spans = [(run.total_us if gpu else run.cpu[-1].end_us) - run.cpu[0].start_us for run in runs]
    return max(1.0, (undisturbed(spans) / step_us - _AFTER) / _STEPS)
