"""What an evaluation says of a candidate: how fast, how sure, how right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from hetcomp.tune.evaluate import Evaluation, typical_us

__all__ = ["Judgement", "judge"]

_FASTER = 0.98
"""A gain below this is within what a repetition would show."""
_NOT_SLOWER = 1.01
"""On either processor alone, the same."""


@dataclass(frozen=True)
class Judgement:
    """One arm beside the default.

    Attributes
    ----------
    ratio
        Time over the default's; of two processors, of both working together.
    spread
        Distance of the quartiles of the ratio, turn by turn.
    times_us, default_us
        By processor.
    error
        Largest deviation from the default's output.
    faster
        Whether it is right, faster, on no processor slower, and so in both halves of the turns.
    """

    ratio: float
    spread: float
    times_us: Mapping[str, float]
    default_us: Mapping[str, float]
    error: float
    faster: bool


def judge(evaluation: Evaluation, arm: int, *, tolerance: float) -> Judgement:
    """Compare `arm` with arm 0."""
    samples = {p: (arms[arm], arms[0]) for p, arms in evaluation.times_us.items()}
    mine = {p: typical_us(p, own) for p, (own, _) in samples.items()}
    default = {p: typical_us(p, other) for p, (_, other) in samples.items()}
    error = evaluation.errors[arm]
    ratio = _together(mine, default)
    faster = (
        error <= tolerance
        and ratio < _FASTER
        and all(mine[p] <= default[p] * _NOT_SLOWER for p in mine)
        and all(_half_ratio(samples, half) < 1.0 for half in (0, 1))
    )
    return Judgement(ratio, _spread(samples), mine, default, error, faster)


def _together(mine: Mapping[str, float], default: Mapping[str, float]) -> float:
    """Ratio of the times of all processors working on one task, each at its speed."""
    return sum(1 / us for us in default.values()) / sum(1 / us for us in mine.values())


_Pair = tuple[Sequence[float], Sequence[float]]


def _half_ratio(samples: Mapping[str, _Pair], half: int) -> float:
    """The ratio from every other turn."""
    own = {p: typical_us(p, pair[0][half::2]) for p, pair in samples.items()}
    other = {p: typical_us(p, pair[1][half::2]) for p, pair in samples.items()}
    return _together(own, other)


def _spread(samples: Mapping[str, _Pair]) -> float:
    ratios = [a / b for own, other in samples.values() for a, b in zip(own, other, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return high - low
