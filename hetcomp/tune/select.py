"""Choose among step tables by timing them, so that no plan ships that is slower than another.

Tables take turns, and two tables are compared by the ratios of their times within rounds, since the
machine's speed drifts. Only calm inferences count, for which threads of this process waited no
longer for a processor than they make each other wait: a plan for both processors suffers from other
load on either, and waits for itself, so that on a busy machine a comparison of disturbed times says
which plan is disturbed more. Where a machine is never calm for long enough all rounds count. A
prediction never overrules them: it only decides between times that are equal within their scatter.
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
from hetcomp.tune.calm import Round, TableTimes, TimedRun, calm_us
from hetcomp.tune.priority import ThreadTimes, thread_times, waited_us
from hetcomp.tune.session import Feeds, ProfilingSession, RunnableSession

__all__ = [
    "Comparison",
    "TimeRuns",
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


TimeRuns = Callable[[int], Sequence[TimedRun]]
"""Times so many inferences of the installed table."""


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
    threads: Callable[[], ThreadTimes] = thread_times,
) -> list[TimedRun]:
    """Time `reps` inferences as a caller sees them.

    `threads`: see `hetcomp.tune.priority.thread_times`.
    """
    runs = []
    for _ in range(reps):
        before = threads()
        begin = time.perf_counter()
        session.run(feeds)
        time_us = (time.perf_counter() - begin) * 1e6
        runs.append(TimedRun(time_us, waited_us(before, threads())))
    return runs


def timed_there(session: ProfilingSession, reps: int) -> list[TimedRun]:
    """Time `reps` inferences by the clock of the session's machine, which is taken to be calm:
    neither the way there counts, nor is it known what else runs there."""
    return [TimedRun(run.total_us, 0.0) for run in session.profile(reps).runs]


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
    calm = [
        median(mine) / median(theirs)
        for mine, theirs in zip(one.calm_us, other.calm_us, strict=True)
        if mine and theirs
    ]
    if len(calm) >= _PAIRS:
        return Comparison(median(calm), len(calm), True)
    ratios = [
        undisturbed(mine.samples_us) / undisturbed(theirs.samples_us)
        for mine, theirs in zip(one.rounds, other.rounds, strict=True)
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
    calm = [[bool(samples) for samples in calm_us(turns)] for turns in found]
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
    return Round(tuple(runs))
