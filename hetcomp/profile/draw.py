"""Drawing sizes: axes of a family, and points spread evenly over them (Latin hypercube)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

__all__ = ["Axis", "Choice", "Size", "cube", "sizes_at"]


class Axis(Protocol):
    """From a coordinate in [0, 1) to a size."""

    def at(self, coordinate: float) -> int:
        """The size there."""


@dataclass(frozen=True)
class Size:
    """Evenly on a logarithmic scale; the upper `odd` of the axis draws any number, the rest
    multiples of `multiple`, which networks mostly have."""

    low: int
    high: int
    multiple: int = 1
    odd: float = 0.0

    def at(self, coordinate: float) -> int:
        """The size there."""
        regular = 1.0 - self.odd
        if coordinate < regular:
            return self._round(coordinate / regular, self.multiple)
        return self._round((coordinate - regular) / self.odd, 1)

    def _round(self, part: float, multiple: int) -> int:
        value = math.exp(math.log(self.low) + part * math.log(self.high / self.low))
        return max(self.low, min(self.high, multiple * max(1, round(value / multiple))))


@dataclass(frozen=True)
class Choice:
    """One of some values; a value that stands there twice is drawn twice as often."""

    values: tuple[int, ...]

    def at(self, coordinate: float) -> int:
        """The value there."""
        return self.values[min(int(coordinate * len(self.values)), len(self.values) - 1)]


def cube(n: int, dimensions: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`n` points of a Latin hypercube, shape (n, dimensions)."""
    points: NDArray[np.float64] = qmc.LatinHypercube(dimensions, rng=rng).random(n)
    return points


def sizes_at(axes: Sequence[Axis], point: Sequence[float]) -> tuple[int, ...]:
    """The sizes at a point."""
    return tuple(axis.at(float(u)) for axis, u in zip(axes, point, strict=True))
