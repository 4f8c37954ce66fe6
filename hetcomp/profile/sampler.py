"""Which layers to measure next: spread evenly at first, later where the error is large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hetcomp.profile.families import FAMILIES, Family, Point, draw

__all__ = ["Miss", "Sampler"]

_BLOCK = 32
"""Points of a family that one Latin hypercube spreads."""
_FILTER = 3
"""Points that one chosen for its neighbours' errors was chosen from."""
_NEIGHBOURS = 4
_MOST = 2.0
"""By how much a family's error may raise or lower its share."""


@dataclass(frozen=True)
class Miss:
    """The error of a prediction at a point that was not trained on, as |ln(predicted/measured)|."""

    point: Point
    error: float


class Sampler:
    """Draws points family by family, so that each has its part.

    Parameters
    ----------
    seed
        Of the draws: the k-th point of a family depends on it alone.
    done
        Points that have been measured.
    """

    def __init__(self, seed: int, done: Iterable[Point] = ()) -> None:
        self._seed = seed
        self._taken = Counter(point.family for point in done)
        self._drawn = Counter(self._taken)
        self._blocks: dict[tuple[str, int], list[Point]] = {}
        self._misses: dict[str, list[Miss]] = {}
        self._turn = 0

    def learn(self, misses: Sequence[Miss]) -> None:
        """Look closer where predictions failed."""
        self._misses = {}
        for miss in misses:
            self._misses.setdefault(miss.point.family, []).append(miss)

    def next(self, n: int) -> tuple[Point, ...]:
        """The next `n` points."""
        weights = self._weights()
        return tuple(self._next_of(self._neediest(weights)) for _ in range(n))

    def _weights(self) -> Mapping[str, float]:
        """Shares of the families: their own, times their mean error."""
        errors = {
            name: float(np.mean([miss.error for miss in found]))
            for name, found in self._misses.items()
        }
        typical = float(np.median(list(errors.values()))) if errors else 1.0
        return {
            family.name: family.weight
            * min(_MOST, max(1.0 / _MOST, errors.get(family.name, typical) / typical))
            for family in FAMILIES
        }

    def _neediest(self, weights: Mapping[str, float]) -> Family:
        family = min(FAMILIES, key=lambda f: (self._taken[f.name] + 0.5) / weights[f.name])
        self._taken[family.name] += 1
        return family

    def _next_of(self, family: Family) -> Point:
        """The next point, or every second time the one of some with the worst neighbourhood."""
        self._turn += 1
        misses = self._misses.get(family.name, [])
        if len(misses) < _NEIGHBOURS or self._turn % 2:
            return self._draw(family)
        candidates = [self._draw(family) for _ in range(_FILTER)]
        return max(candidates, key=lambda point: _local_error(point, misses))

    def _draw(self, family: Family) -> Point:
        block, place = divmod(self._drawn[family.name], _BLOCK)
        self._drawn[family.name] += 1
        key = (family.name, block)
        if key not in self._blocks:
            index = FAMILIES.index(family)
            rng = np.random.default_rng((self._seed, index, block))
            self._blocks[key] = draw(family, _BLOCK, rng)
        points = self._blocks[key]
        return points[place % len(points)]


def _local_error(point: Point, misses: Sequence[Miss]) -> float:
    """Mean error of the nearest points."""
    places = np.array([miss.point.place for miss in misses])
    distances = np.linalg.norm(places - np.array(point.place), axis=1)
    nearest = np.argsort(distances)[:_NEIGHBOURS]
    return float(np.mean([misses[i].error for i in nearest]))
