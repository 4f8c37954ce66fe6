"""Choose among step tables by timing them, so that no plan ships that is slower than another.

Tables take turns, and two tables are compared by the ratios of their times within rounds, since the
machine's speed drifts. Only inferences count during which the system took no processor from this
process: a plan for both processors suffers from other load on either, and waits for itself, so that
on a busy machine a comparison of disturbed times says which plan is disturbed more. Where a machine
is never calm for long enough all rounds count. A prediction never overrules them: it only decides
between times that are equal within their scatter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from statistics import median, quantiles

from hetcomp.cost.samples import undisturbed
from hetcomp.plan.table import StepTable
from hetcomp.tune.priority import preemptions
from hetcomp.tune.session import Feeds, ProfilingSession, RunnableSession

__all__ = [
    "Comparison",
    "Round",
    "TableTimes",
    "TimeRuns",
    "TimedRun",
    "compare",
    "pick_fastest",
    "time_tables",
    "timed_here",
    "timed_there",
]

_TURN_SECONDS = 0.02
_REPS = (3, 30)
"""Timed inferences a turn: as many as fit `_TURN_SECONDS`, within these."""
_PAIRS = 3
"""Rounds in which both of two tables were calm that make a comparison."""
_TIE = 0.1
"""Two tables may be equal whose disturbed times differ by no more than this part."""


@dataclass(frozen=True)
class TimedRun:
    """Time of one inference in microseconds, and whether no other work took a processor away."""

    time_us: float
    calm: bool


TimeRuns = Callable[[int], Sequence[TimedRun]]
"""Times so many inferences of the installed table."""


@dataclass(frozen=True)
class Round:
    """One turn of one table: all samples in microseconds, and those of them that are calm."""

    samples_us: tuple[float, ...]
    calm_us: tuple[float, ...]


@dataclass(frozen=True)
class TableTimes:
    """All turns of one table."""

    name: str
    rounds: tuple[Round, ...]

    @property
    def typical_us(self) -> float:
        """The median of calm samples; without any, the lowest decile of all."""
        calm = [sample for turn in self.rounds for sample in turn.calm_us]
        if calm:
            return median(calm)
        return undisturbed([sample for turn in self.rounds for sample in turn.samples_us])


@dataclass(frozen=True)
class Comparison:
    """A table against the best one for a single processor.

    Attributes
    ----------
    ratio
        Its time over the other's.
    calm_rounds
        Rounds in which both were calm.
    measured
        Whether `ratio` is the median of such rounds, or of all rounds where there are too few of
        them. If not, the rounds leave open which table is faster, and the prediction decided.
    """

    ratio: float
    calm_rounds: int
    measured: bool


def timed_here(
    session: RunnableSession,
    feeds: Feeds,
    reps: int,
    count_preemptions: Callable[[], int] = preemptions,
) -> list[TimedRun]:
    """Time `reps` inferences as a caller sees them.

    `count_preemptions`: see `hetcomp.tune.priority.preemptions`.
    """
    runs = []
    for _ in range(reps):
        before = count_preemptions()
        begin = time.perf_counter()
        session.run(feeds)
        time_us = (time.perf_counter() - begin) * 1e6
        runs.append(TimedRun(time_us, calm=count_preemptions() == before))
    return runs


def timed_there(session: ProfilingSession, reps: int) -> list[TimedRun]:
    """Time `reps` inferences by the clock of the session's machine, which is taken to be calm:
    neither the way there counts, nor is it known what else runs there."""
    return [TimedRun(run.total_us, calm=True) for run in session.profile(reps).runs]


def time_tables(
    session: RunnableSession,
    tables: Sequence[StepTable],
    feeds: Feeds,
    *,
    rounds: int = 9,
    least_rounds: int = 5,
    most_rounds: int = 40,
    enough_seconds: float = 5.0,
    cap_seconds: float = 10.0,
    progress: Callable[[str, float], None] | None = None,
    time_runs: TimeRuns | None = None,
) -> tuple[TableTimes, ...]:
    """Time every table in turn, round after round, so that drift hits all of them alike.

    Parameters
    ----------
    session
        A loaded model. The table timed last is installed when this returns.
    tables
        The candidates.
    feeds
        Inputs to run with; indices among them must be valid.
    rounds, least_rounds, most_rounds
        Turns of every table, how many will do once `enough_seconds` have passed, and how many there
        may be while too few are calm for two of them.
    cap_seconds
        No further round starts after this time; the first is always done.
    progress
        Called with a text and the part done, 0 to 1.
    time_runs
        Runs and times inferences of the installed table; None: by this machine's clock.

    Returns
    -------
    tuple of TableTimes
        In the order of `tables`, all with the same number of rounds.
    """
    time_runs = time_runs or partial(timed_here, session, feeds)
    found: list[list[Round]] = [[] for _ in tables]
    begin = time.perf_counter()
    spent = 0.0
    for number in range(most_rounds):
        wanted = least_rounds if spent > enough_seconds else rounds
        if number >= wanted and _all_comparable(found):
            break
        for turn in range(len(tables)):
            index = (turn + number) % len(tables)
            session.set_table(tables[index])
            found[index].append(_turn(time_runs))
        spent = time.perf_counter() - begin
        if progress:
            progress("timing plans", min(1.0, max((number + 1) / rounds, spent / cap_seconds)))
        if spent > cap_seconds:
            break
    return tuple(
        TableTimes(table.name, tuple(turns)) for table, turns in zip(tables, found, strict=True)
    )


def compare(one: TableTimes, other: TableTimes, predicted: float) -> Comparison:
    """Time of `one` over that of `other`, by calm rounds, by all rounds, or in doubt as predicted.

    A prediction counts where the median of all rounds is within `_TIE` of 1 and a quarter of them
    or more is on either side, and then no further than to the nearer quartile.
    """
    pairs = list(zip(one.rounds, other.rounds, strict=True))
    calm = [
        median(mine.calm_us) / median(theirs.calm_us)
        for mine, theirs in pairs
        if mine.calm_us and theirs.calm_us
    ]
    if len(calm) >= _PAIRS:
        return Comparison(median(calm), len(calm), True)
    ratios = [
        undisturbed(mine.samples_us) / undisturbed(theirs.samples_us) for mine, theirs in pairs
    ]
    ratio, (low, high) = median(ratios), _quartiles(ratios)
    if abs(ratio - 1.0) > _TIE or not low < 1.0 < high:
        return Comparison(ratio, len(calm), True)
    return Comparison(min(max(predicted, low), high), len(calm), False)


def pick_fastest(
    times: Sequence[TableTimes],
    predicted_us: Sequence[float],
    simple: Sequence[int],
    allowed: Collection[int] | None = None,
    *,
    margin: float = 0.01,
) -> tuple[int, tuple[Comparison, ...]]:
    """The table to use, and how each compares with the best simple one.

    Parameters
    ----------
    times, predicted_us
        Of every table.
    simple
        Indices of the tables for a single processor, one of them allowed.
    allowed
        Indices of the tables to choose from; None takes all.
    margin
        By how much another one must be faster than the best simple one.

    Returns
    -------
    tuple
        Index of the choice, and a comparison for every table.
    """

    def against(base: int) -> tuple[Comparison, ...]:
        return tuple(
            compare(item, times[base], us / predicted_us[base])
            for item, us in zip(times, predicted_us, strict=True)
        )

    choices = range(len(times)) if allowed is None else allowed
    singles = [index for index in simple if index in choices]
    first = against(singles[0])
    base = min(singles, key=lambda index: first[index].ratio)
    comparisons = against(base)
    best = min(choices, key=lambda index: comparisons[index].ratio)
    return (best if comparisons[best].ratio < 1.0 - margin else base), comparisons


def _all_comparable(found: Sequence[Sequence[Round]]) -> bool:
    """Whether any two tables have enough rounds in which both were calm."""
    calm = [[bool(turn.calm_us) for turn in turns] for turns in found]
    return all(
        sum(a and b for a, b in zip(one, other, strict=True)) >= _PAIRS
        for one, other in combinations_with_replacement(calm, 2)
    )


def _quartiles(ratios: Sequence[float]) -> tuple[float, float]:
    """Between which the middle half lies; of few rounds the least and the largest ratio."""
    if len(ratios) < 4:
        return min(ratios), max(ratios)
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    return low, high


def _turn(time_runs: TimeRuns) -> Round:
    warm = time_runs(2)[-1]  # the second is as fast as the later ones: see the option `ahead`
    least, most = _REPS
    runs = time_runs(min(most, max(least, int(_TURN_SECONDS * 1e6 / max(warm.time_us, 1e-3)))))
    return Round(tuple(run.time_us for run in runs), tuple(run.time_us for run in runs if run.calm))
