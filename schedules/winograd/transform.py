"""Winograd's F(m, 3): transform matrices from interpolation points, and their evaluation.

A tile of `m + 2` inputs is read as the coefficients of a polynomial and taken to its values at
`m + 2` points, one of them infinity; there the convolution is one product a point. In two
dimensions the transforms nest: F(4x2) is F(4, 3) down the columns and F(2, 3) along the rows.

Points come in pairs of `p` and `-p`, whose transforms share their even and their odd half.
Beyond 0 and infinity any points do, but not alike in float32: of 15 pairs that were tried for
F(4, 3), (2/3, 3/2) has the least error, a quarter of that of the usual (1, 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

__all__ = ["TAPS", "Matrix", "Transform", "transform"]

Matrix = tuple[tuple[Fraction, ...], ...]

TAPS = 3
"""Length of the filter."""
_PAIRS = {2: (Fraction(1),), 4: (Fraction(2, 3), Fraction(3, 2))}
"""Points beside 0 and infinity, each taken with both signs, by the number of outputs."""


@dataclass(frozen=True)
class Transform:
    """One dimension of F(`outputs`, 3): `y = output ((filter g) * (data d))`.

    Attributes
    ----------
    outputs
        Outputs of a tile.
    data, filter, output
        The matrices that Winograd calls B^T, G and A^T; points 1 and 2, 3 and 4, ... are pairs.
    """

    outputs: int
    data: Matrix
    filter: Matrix
    output: Matrix

    @property
    def inputs(self) -> int:
        """Inputs of a tile, which is also the number of points."""
        return self.outputs + TAPS - 1

    def apply_data(self, values: Sequence[Any], bind: Callable[[Any], Any]) -> list[Any]:
        """`data` times `values`; `bind` names a value that is used more than once."""
        result = [_combine(self.data[0], values)]
        for row in self.data[1:-1:2]:
            even = bind(_combine(row[0::2], values[0::2]))
            odd = bind(_combine(row[1::2], values[1::2]))
            result += [even + odd, even - odd]
        return [*result, _combine(self.data[-1], values)]

    def apply_output(self, values: Sequence[Any], bind: Callable[[Any], Any]) -> list[Any]:
        """`output` times `values`; `bind` names a value that is used more than once."""
        pairs = list(zip(values[1:-1:2], values[2:-1:2], strict=True))
        halves = ([bind(p + n) for p, n in pairs], [bind(p - n) for p, n in pairs])
        return [
            _combine((row[0], *row[1:-1:2], row[-1]), (values[0], *halves[k % 2], values[-1]))
            for k, row in enumerate(self.output)
        ]

    @property
    def filter_array(self) -> np.ndarray[Any, Any]:
        """`filter` in float64."""
        return np.array([[float(value) for value in row] for row in self.filter])


@cache
def transform(outputs: int) -> Transform:
    """F(`outputs`, 3), for 2 and 4 outputs."""
    pairs = _PAIRS[outputs]
    points = [Fraction(0), *(sign * p for p in pairs for sign in (1, -1))]
    data, filters = [], []
    for i, point in enumerate(points):
        others = [*points[:i], *points[i + 1 :]]
        scale = math.prod(point - other for other in others)
        data.append((*_polynomial(others), Fraction(0)))
        filters.append(tuple(point**k / Fraction(scale) for k in range(TAPS)))
    data.append(_polynomial(points))
    filters.append((Fraction(0), Fraction(0), Fraction(1)))
    rows = tuple(
        (*(point**k for point in points), Fraction(k == outputs - 1)) for k in range(outputs)
    )
    return Transform(outputs, tuple(data), tuple(filters), rows)


def _polynomial(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """Coefficients, lowest first, of the monic polynomial with these roots."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return tuple(coefficients)


def _combine(coefficients: Sequence[Fraction], values: Sequence[Any]) -> Any:
    """The linear combination, without products by 0 and 1; one coefficient is positive."""
    terms = [(c, v) for c, v in zip(coefficients, values, strict=True) if c]
    terms.sort(key=lambda term: -term[0])
    total = _scaled(*terms[0])
    for coefficient, value in terms[1:]:
        term = _scaled(abs(coefficient), value)
        total = total + term if coefficient > 0 else total - term
    return total


def _scaled(coefficient: Fraction, value: Any) -> Any:
    return value if coefficient == 1 else value * float(coefficient)
