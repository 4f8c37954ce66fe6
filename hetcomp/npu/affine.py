"""Indices that are sums of an operator's axes times constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from hetcomp.schedules.expression import dtype_of

from .refused import Refused

__all__ = ["Affine", "Bindings", "read_affine"]


@dataclass(frozen=True)
class Affine:
    """`offset + sum(steps[i] * axis[i])`; steps along axes of one element are 0."""

    offset: int
    steps: tuple[int, ...]

    @staticmethod
    def axis(position: int, extents: Sequence[int]) -> Affine:
        """The axis at `position` of axes with these extents."""
        steps = [int(i == position and extent > 1) for i, extent in enumerate(extents)]
        return Affine(0, tuple(steps))

    def plus(self, other: Affine) -> Affine:
        """The sum of both."""
        steps = zip(self.steps, other.steps, strict=True)
        return Affine(self.offset + other.offset, tuple(a + b for a, b in steps))

    def times(self, factor: int) -> Affine:
        """Every part times `factor`."""
        return Affine(self.offset * factor, tuple(step * factor for step in self.steps))

    def limits(self, extents: Sequence[int]) -> range:
        """From the least to the largest value."""
        reach = [step * (extent - 1) for step, extent in zip(self.steps, extents, strict=True)]
        low = self.offset + sum(min(0, r) for r in reach)
        return range(low, self.offset + sum(max(0, r) for r in reach) + 1)


Bindings = Sequence[tuple[Any, Affine]]
"""Pairs of TIR variable and what it stands for."""


def read_affine(expr: Any, bindings: Bindings, extents: Sequence[int]) -> Affine:
    """Read an index.

    Raises
    ------
    Refused
        The index is not affine in the axes.
    """
    if isinstance(expr, tirx.IntImm):
        return Affine(int(expr), (0,) * len(extents))
    if isinstance(expr, tirx.Var):
        for var, value in bindings:
            if expr.same_as(var):
                return value
    if isinstance(expr, tirx.Cast) and "int" in dtype_of(expr.value):
        return read_affine(expr.value, bindings, extents)
    if isinstance(expr, (tirx.Add, tirx.Sub)):
        left, right = (read_affine(side, bindings, extents) for side in (expr.a, expr.b))
        return left.plus(right if isinstance(expr, tirx.Add) else right.times(-1))
    if isinstance(expr, tirx.Mul):
        left, right = (read_affine(side, bindings, extents) for side in (expr.a, expr.b))
        for factor, other in ((left, right), (right, left)):
            if not any(factor.steps):
                return other.times(factor.offset)
    if isinstance(expr, (tirx.FloorDiv, tirx.FloorMod)) and isinstance(expr.b, tirx.IntImm):
        return _trivial_division(expr, read_affine(expr.a, bindings, extents), extents)
    raise Refused(f"the index {expr} is not a sum of axes")


def _trivial_division(expr: Any, inner: Affine, extents: Sequence[int]) -> Affine:
    """The division of an index that is always below the divisor."""
    limits = inner.limits(extents)
    if limits.start < 0 or limits.stop > int(expr.b):
        raise Refused(f"the index {expr} divides")
    return inner if isinstance(expr, tirx.FloorMod) else Affine(0, (0,) * len(extents))
