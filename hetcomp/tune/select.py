"""Choose among step tables by timing them, so that no plan ships that is slower than another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hetcomp.cost.samples import undisturbed
from hetcomp.plan.table import StepTable
from hetcomp.tune.session import Feeds, RunnableSession

__all__ = ["TableTimes", "fastest", "pick_fastest"]


@dataclass(frozen=True)
class TableTimes:
    """All samples of one table in microseconds, in the order in which they were taken."""

    name: str
    samples_us: tuple[float, ...]

    @property
    def typical_us(self) -> float:
        """The samples' lowest decile, see `hetcomp.cost.samples`."""
        return undisturbed(self.samples_us)


def pick_fastest(
    session: RunnableSession,
    tables: Sequence[StepTable],
    feeds: Feeds,
    *,
    rounds: int = 7,
    reps: int = 3,
    cap_seconds: float = 10.0,
    progress: Callable[[str, float], None] | None = None,
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
    rounds, reps
        Turns, and timed inferences a turn; each turn begins with one that is not timed.
    cap_seconds
        No further round starts after this time; the first is always done.
    progress
        Called with a text and the part done, 0 to 1.

    Returns
    -------
    tuple of TableTimes
        In the order of `tables`; `fastest` chooses.
    """
    samples: list[list[float]] = [[] for _ in tables]
    end = time.perf_counter() + cap_seconds
    for number in range(rounds):
        for turn in range(len(tables)):
            index = (turn + number) % len(tables)
            samples[index] += _turn(session, tables[index], feeds, reps)
        if progress:
            progress("timing plans", (number + 1) / rounds)
        if time.perf_counter() > end:
            break
    return tuple(
        TableTimes(table.name, tuple(values)) for table, values in zip(tables, samples, strict=True)
    )


def fastest(times: Sequence[TableTimes]) -> int:
    """Index of the least typical time; the earlier one of equals."""
    return min(range(len(times)), key=lambda index: times[index].typical_us)


def _turn(
    session: RunnableSession,
    table: StepTable,
    feeds: Feeds,
    reps: int,
) -> list[float]:
    session.set_table(table)
    session.run(feeds)
    found = []
    for _ in range(reps):
        begin = time.perf_counter()
        session.run(feeds)
        found.append((time.perf_counter() - begin) * 1e6)
    return found
