"""The one place where the benchmarks time: arms take turns, every sample is kept.

Each turn of an arm is a pause, in which the worker threads of the arm before stop spinning, some
runs that are not timed, and the timed ones. Arms start in another order every round, and ratios
are taken within a round, so that drift of the machine hits all arms alike. What is timed is the
caller's whole call, inputs and outputs included; of a board what its runtime measures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

__all__ = ["Arm", "Ratio", "Samples", "TimingOptions", "gain", "interleave", "ratio"]


@dataclass(frozen=True)
class Arm:
    """Something to time.

    Attributes
    ----------
    name
        For messages.
    run
        One run of it.
    times_ms
        Times of so many runs by another clock; None: by this machine's, around `run`.
    """

    name: str
    run: Callable[[], object]
    times_ms: Callable[[int], Sequence[float]] | None = None


@dataclass(frozen=True)
class TimingOptions:
    """How long to time.

    Attributes
    ----------
    rounds
        Turns of every arm, if the time allows.
    reps
        Timed runs a turn.
    warmup
        Runs before them.
    settle_seconds
        Pause before a turn.
    cap_seconds
        No further round starts after this time; the first two are always done.
    """

    rounds: int = 12
    reps: int = 4
    warmup: int = 1
    settle_seconds: float = 0.01
    cap_seconds: float = 30.0


@dataclass(frozen=True)
class Samples:
    """All samples of one arm in milliseconds, round by round."""

    name: str
    rounds_ms: tuple[tuple[float, ...], ...]

    @property
    def all_ms(self) -> tuple[float, ...]:
        """Samples of all rounds in the order in which they were taken."""
        return tuple(sample for samples in self.rounds_ms for sample in samples)

    @property
    def median_ms(self) -> float:
        """Median of all samples."""
        return median(self.all_ms)

    def percentile_ms(self, percent: float) -> float:
        """Percentile of all samples."""
        return float(np.percentile(self.all_ms, percent))


@dataclass(frozen=True)
class Ratio:
    """Time of one arm over that of another: median and 10th and 90th percentile of the rounds."""

    median: float
    p10: float
    p90: float


def interleave(
    arms: Sequence[Arm],
    options: TimingOptions,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[Samples, ...]:
    """Time the arms in turns.

    Returns
    -------
    tuple of Samples
        In the order of `arms`, all with the same number of rounds.
    """
    rounds: list[list[tuple[float, ...]]] = [[] for _ in arms]
    begin = time.perf_counter()
    for number in range(options.rounds):
        spent = time.perf_counter() - begin
        if number >= 2 and spent > options.cap_seconds:
            break
        for turn in range(len(arms)):
            index = (turn + number) % len(arms)
            rounds[index].append(_turn(arms[index], options))
        if progress:
            part = max((number + 1) / options.rounds, min(1.0, spent / options.cap_seconds))
            progress("timing", part)
    return tuple(
        Samples(arm.name, tuple(samples)) for arm, samples in zip(arms, rounds, strict=True)
    )


def ratio(one: Samples, other: Samples) -> Ratio:
    """Ratio of the rounds' medians of `one` over those of `other`."""
    ratios = [
        median(mine) / median(theirs)
        for mine, theirs in zip(one.rounds_ms, other.rounds_ms, strict=True)
    ]
    low, middle, high = np.percentile(ratios, (10, 50, 90))
    return Ratio(float(middle), float(low), float(high))


def gain(others: Sequence[Samples], ours: Samples) -> Ratio:
    """Time of the fastest of `others` over that of `ours`.

    The fastest is one arm for all rounds, by the median of its samples: the faster of each round
    would be the luckier one too.
    """
    return ratio(min(others, key=lambda samples: samples.median_ms), ours)


def _turn(arm: Arm, options: TimingOptions) -> tuple[float, ...]:
    time.sleep(options.settle_seconds)
    if arm.times_ms is not None:
        return tuple(arm.times_ms(options.warmup + options.reps)[options.warmup :])
    for _ in range(options.warmup):
        arm.run()
    return tuple(_timed_ms(arm.run) for _ in range(options.reps))


def _timed_ms(run: Callable[[], object]) -> float:
    begin = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - begin) / 1e6
