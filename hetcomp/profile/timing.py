"""Times of steps, taken from whole traced inferences of a step table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hetcomp.cost.launches import Array
from hetcomp.cost.samples import undisturbed
from hetcomp.exclusive import exclusive
from hetcomp.plan.table import Step, StepTable
from hetcomp.profile.tables import Layout, table_of
from hetcomp.runtime import RunProfile, Session
from hetcomp.tune.observed import gpu_step_us

__all__ = ["Bench", "cpu_us", "gpu_us", "in_a_row_us", "step_times_us"]


@dataclass(frozen=True)
class Bench:
    """A session and the rules of measuring on it.

    Attributes
    ----------
    session
        An opened model.
    lock
        Held while something is timed, see `hetcomp.exclusive`.
    burst_seconds
        Longest time to hold it.
    """

    session: Session
    lock: Path | None
    burst_seconds: float = 0.8

    def runs(self, table: StepTable, reps: int) -> tuple[RunProfile, ...]:
        """Traces of `reps` inferences, fewer where they would take too long, but two at least.

        One inference before them, which warms the caches, is dropped.
        """
        with exclusive(self.lock):
            self.session.set_table(table)
            first = self.session.profile(2).runs[-1]
            fitting = int(self.burst_seconds * 1e6 / max(first.total_us, 1.0))
            rest = self.session.profile(max(1, min(reps - 1, fitting)))
        return first, *rest.runs


def cpu_us(runs: Sequence[RunProfile], step: int) -> tuple[float, ...]:
    """Times of a CPU step."""
    return tuple(run.cpu[step].end_us - run.cpu[step].start_us for run in runs)


def gpu_us(table: StepTable, runs: Sequence[RunProfile], step: int) -> tuple[float, ...]:
    """Times of a GPU step, not the first, where they were seen."""
    seen = (gpu_step_us(table, run, step) for run in runs)
    return tuple(time_us for time_us in seen if time_us is not None)


def step_times_us(table: StepTable, runs: Sequence[RunProfile], processor: str) -> Array:
    """Times of all steps of a processor, shape (runs, steps); NaN where one was not seen."""
    if processor == "cpu":
        times = [[step.end_us - step.start_us for step in run.cpu] for run in runs]
    else:
        times = [[_gpu_us(table, run, step) for step in range(len(table.gpu))] for run in runs]
    found = np.array(times, dtype=np.float64)
    return np.where(found > 0.0, found, np.nan)


def _gpu_us(table: StepTable, run: RunProfile, step: int) -> float:
    """A first step starts with the device's wake-up and does not count."""
    found = gpu_step_us(table, run, step) if step else None
    return math.nan if found is None else found


def in_a_row_us(
    bench: Bench, layout: Layout, step: Step, processor: str, *, steps: int, reps: int
) -> float:
    """Typical time of a step among `steps` equal ones on one processor alone."""
    if processor == "cpu":
        runs = bench.runs(table_of(layout, cpu=[step] * steps), reps)
        spans = [run.cpu[-1].end_us - run.cpu[0].end_us for run in runs]
    else:
        runs = bench.runs(table_of(layout, gpu=[step] * steps), reps)
        spans = [run.gpu_end_us[-1] - run.gpu_end_us[0] for run in runs]
    return undisturbed(spans) / (steps - 1)
