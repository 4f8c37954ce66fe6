"""From the runtime's time stamps to the time each task took where it stood."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hetcomp.plan.table import StepTable
from hetcomp.tune.session import RunTimes

__all__ = ["calm", "cpu_times", "gpu_step_us", "gpu_times"]

NOT_SEEN = -1.0
"""End of a GPU step that was not noticed before a later one's."""


_CALM_PART = 3
_CALM_LEAST = 3


def calm(runs: Sequence[RunTimes]) -> list[RunTimes]:
    """The third of `runs`, three at least, that took least: the ones disturbed least."""
    keep = max(_CALM_LEAST, len(runs) // _CALM_PART)
    return sorted(runs, key=lambda run: run.total_us)[:keep]


def cpu_times(table: StepTable, runs: Sequence[RunTimes]) -> dict[int, list[float]]:
    """Samples per task of what its CPU step took, in microseconds."""
    found: dict[int, list[float]] = defaultdict(list)
    for run in runs:
        for step, times in zip(table.cpu, run.cpu, strict=True):
            found[step.task].append(times.end_us - times.start_us)
    return dict(found)


def gpu_times(table: StepTable, runs: Sequence[RunTimes]) -> dict[int, list[float]]:
    """Samples per task of what its GPU step took, in microseconds.

    A step starts when its predecessor and the CPU step it waits for have ended. The first step is
    left out, as it starts with the device's wake-up, and so are steps whose end, or whose
    predecessor's end where that decides the start, was not watched.
    """
    found: dict[int, list[float]] = defaultdict(list)
    for run in runs:
        for index, step in enumerate(table.gpu[1:], start=1):
            time_us = gpu_step_us(table, run, index)
            if time_us is not None:
                found[step.task].append(time_us)
    return dict(found)


def gpu_step_us(table: StepTable, run: RunTimes, index: int) -> float | None:
    """What GPU step `index`, not the first, took in microseconds; None where it was not seen."""
    start = _gpu_start(run, index, table.gpu[index].wait)
    if start is None or not run.gpu_watched[index]:
        return None
    return max(0.0, run.gpu_end_us[index] - start)


def _gpu_start(run: RunTimes, index: int, wait: int) -> float | None:
    """When GPU step `index` could start, None where that was not seen.

    An end that was noticed late is an upper bound: good enough where the CPU released the step
    later still.
    """
    before = run.gpu_end_us[index - 1]
    released = run.cpu[wait - 1].end_us if wait else 0.0
    if before != NOT_SEEN and before <= released:
        return released
    return before if run.gpu_watched[index - 1] else None
