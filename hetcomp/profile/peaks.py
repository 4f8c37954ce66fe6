"""What each processor reaches at most: arithmetic within the caches, and copying by level."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from hetcomp.cost.samples import undisturbed
from hetcomp.exclusive import exclusive
from hetcomp.plan.table import Step
from hetcomp.profile.probes import COMPUTE, FIRST, Room, whole
from hetcomp.profile.timing import Bench, in_a_row_us

__all__ = ["measure_peaks"]

_STEPS = 8
_REPS = 10
_COPY_BYTES = 32 << 20
_NEAR_BYTES = 256 << 10
"""A block whose copy fits a second-level cache beside it."""


def measure_peaks(bench: Bench, room: Room, *, gpu: bool) -> Mapping[str, float]:
    """Floating-point operations and bytes per microsecond, by processor.

    `bytes_per_us` counts what is read and written of a block beyond the second-level cache,
    `near_bytes_per_us` of one within it; `copy_bytes_per_us` are those that the host copies.
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
    with exclusive(bench.lock):
        found["copy_bytes_per_us"] = _copied_per_us()
    return found


def _copied_per_us() -> float:
    """Bytes that the host copies in a microsecond, as inputs and outputs are."""
    source = np.ones(_COPY_BYTES, np.uint8)
    target = np.zeros_like(source)
    times = []
    for _ in range(_REPS):
        begin = time.perf_counter()
        np.copyto(target, source)
        times.append((time.perf_counter() - begin) * 1e6)
    return _COPY_BYTES / undisturbed(times)


def _step_us(bench: Bench, room: Room, step: Step, processor: str) -> float:
    layout = room.layout({FIRST: (0, 1)})
    return in_a_row_us(bench, layout, step, processor, steps=_STEPS, reps=_REPS)
