"""Which timed inferences other work did not disturb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from hetcomp.cost.samples import undisturbed

__all__ = ["Round", "TableTimes", "TimedRun", "calm_us"]

_SLACK = 0.02
"""Part of its time that a calm inference may have waited for processors, beyond its own waits."""
_OWN = (0.05, 500.0)
"""Own waits are the least of a table's, but at most the greater of a part of the time, and so many
microseconds: a table that always waits longer is never calm."""


@dataclass(frozen=True)
class TimedRun:
    """Time of one inference, and how long its threads waited for a processor, in microseconds."""

    time_us: float
    waited_us: float


@dataclass(frozen=True)
class Round:
    """One turn of one table."""

    runs: tuple[TimedRun, ...]

    @property
    def least_waited_us(self) -> float:
        """Of any run."""
        return min(run.waited_us for run in self.runs)

    @property
    def samples_us(self) -> list[float]:
        """Times of all runs."""
        return [run.time_us for run in self.runs]

    def calm_us(self, least_us: float) -> list[float]:
        """Times of the calm runs of a table that waits for so long at least."""
        part, most_us = _OWN
        own = [min(least_us, max(part * run.time_us, most_us)) for run in self.runs]
        return [
            run.time_us
            for run, own_us in zip(self.runs, own, strict=True)
            if run.waited_us <= own_us + _SLACK * run.time_us
        ]


@dataclass(frozen=True)
class TableTimes:
    """All turns of one table."""

    name: str
    rounds: tuple[Round, ...]

    @property
    def calm_us(self) -> list[list[float]]:
        """Calm samples of every round."""
        return calm_us(self.rounds)

    @property
    def typical_us(self) -> float:
        """The median of calm samples; without any, the lowest decile of all."""
        calm = [sample for turn in self.calm_us for sample in turn]
        if calm:
            return median(calm)
        return undisturbed([sample for turn in self.rounds for sample in turn.samples_us])


def calm_us(rounds: Sequence[Round]) -> list[list[float]]:
    """Calm samples of every round of one table, in microseconds."""
    least_us = min((turn.least_waited_us for turn in rounds), default=0.0)
    return [turn.calm_us(least_us) for turn in rounds]
