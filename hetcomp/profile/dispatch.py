"""Dispatch: what enqueues cost the CPU, and how long the device takes to begin."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from hetcomp.cost.samples import undisturbed
from hetcomp.exclusive import exclusive
from hetcomp.plan.table import StepTable
from hetcomp.profile.probes import SMALL, Room, whole
from hetcomp.profile.tables import table_of
from hetcomp.profile.timing import Bench, in_a_row_us
from hetcomp.runtime import RunProfile

__all__ = ["Dispatch", "measure_dispatch"]

_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128)
_ASLEEP_S = 0.002
"""Pause after which a device's threads sleep."""


@dataclass(frozen=True)
class Dispatch:
    """In microseconds.

    Attributes
    ----------
    first_enqueue_us, enqueue_us
        CPU time of the first enqueue of an inference and of each further one.
    wake_us
        From the end of the first enqueue to the first instruction, the device asleep.
    gpu_launch_us
        From the end of a kernel to the end of the next one, which does next to nothing.
    """

    first_enqueue_us: float
    enqueue_us: float
    wake_us: float
    gpu_launch_us: float


def measure_dispatch(bench: Bench, room: Room, reps: int) -> Dispatch:
    """A line through the CPU's start after 1 to 128 enqueues, and the ends of small kernels."""
    starts = [_start_us(bench, room, count, reps) for count in _COUNTS]
    further, first = np.polyfit(_COUNTS, starts, 1)
    launch_us = _launch_us(bench, room, reps)
    alone_us = _first_end_us(bench, room, reps)
    enqueued_us = starts[0]
    return Dispatch(
        first_enqueue_us=max(0.0, float(first + further)),
        enqueue_us=max(0.0, float(further)),
        wake_us=max(0.0, alone_us - enqueued_us - launch_us),
        gpu_launch_us=launch_us,
    )


def _start_us(bench: Bench, room: Room, count: int, reps: int) -> float:
    """When the CPU's first step starts behind `count` enqueues, the device asleep before."""
    small = whole(room.graph, SMALL)
    table = table_of(room.layout({}), cpu=[small], gpu=[small] * count)
    return undisturbed([run.cpu[0].start_us for run in _asleep(bench, table, reps)])


def _first_end_us(bench: Bench, room: Room, reps: int) -> float:
    """From the first enqueue to the end of a single small kernel."""
    table = table_of(room.layout({}), gpu=[whole(room.graph, SMALL)])
    return undisturbed([run.total_us for run in _asleep(bench, table, reps)])


def _launch_us(bench: Bench, room: Room, reps: int) -> float:
    small = whole(room.graph, SMALL)
    return in_a_row_us(bench, room.layout({}), small, "gpu", steps=_COUNTS[-1], reps=reps)


def _asleep(bench: Bench, table: StepTable, reps: int) -> list[RunProfile]:
    """Traces of inferences with pauses before them."""
    found: list[RunProfile] = []
    with exclusive(bench.lock):
        bench.session.set_table(table)
        for _ in range(reps):
            time.sleep(_ASLEEP_S)
            found += bench.session.profile(1).runs
    return found[1:]
