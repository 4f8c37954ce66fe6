"""Cut the innermost axis where a condition on it changes, so that each piece vectorises.

A concatenation, a pad or a slice of the channels is one expression full of conditions such as
`c < 64`; between two such bounds the conditions are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from tvm import ir, sym, tirx

from .expression import IF_THEN_ELSE, Translator

__all__ = ["breakpoints", "fold_conditions"]

_COMPARE: Mapping[type, Callable[[int], bool]] = {
    tirx.LT: lambda d: d < 0,
    tirx.LE: lambda d: d <= 0,
    tirx.GT: lambda d: d > 0,
    tirx.GE: lambda d: d >= 0,
    tirx.EQ: lambda d: d == 0,
    tirx.NE: lambda d: d != 0,
}
_MAX_SEGMENTS = 64
"""More pieces than this are left as conditions: code size."""


def breakpoints(expr: Any, var: Any, extent: int) -> list[tuple[int, int]]:
    """Half-open ranges of `var` in [0, extent) on which its comparisons are constant."""
    seen: list[tuple[int, int]] = []
    _Comparisons(var, lambda _, slope, base: _note(seen, slope, base))(expr)
    cuts = {0, extent}
    for slope, base in seen:
        root = -base * slope
        cuts.update(c for c in (root, root + 1) if 0 < c < extent)
    ordered = sorted(cuts)
    pieces = [(a, b) for a, b in pairwise(ordered)]
    pieces = _merge(expr, var, pieces)
    return pieces if len(pieces) <= _MAX_SEGMENTS else [(0, extent)]


def fold_conditions(expr: Any, var: Any, start: int, stop: int) -> Any:
    """`expr` with every comparison that is constant for `var` in [start, stop) decided."""

    def decide(node: Any, slope: int, base: int) -> Any:
        first = _COMPARE[type(node)](slope * start + base)
        last = _COMPARE[type(node)](slope * (stop - 1) + base)
        if first != last or (isinstance(node, (tirx.EQ, tirx.NE)) and stop - start > 1):
            return _decide_equality(node, slope, base, start, stop)
        return tirx.const(first, "bool")

    return _Comparisons(var, decide)(expr)


def _decide_equality(node: Any, slope: int, base: int, start: int, stop: int) -> Any:
    root = -base * slope
    if isinstance(node, (tirx.EQ, tirx.NE)) and not start <= root < stop:
        return tirx.const(isinstance(node, tirx.NE), "bool")
    return None


def _note(seen: list[tuple[int, int]], slope: int, base: int) -> None:
    seen.append((slope, base))


def _merge(expr: Any, var: Any, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join neighbours on which the folded expression is the same."""
    merged: list[tuple[int, int]] = []
    for start, stop in pieces:
        if merged and _same(expr, var, merged[-1], (start, stop)):
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged


def _same(expr: Any, var: Any, left: tuple[int, int], right: tuple[int, int]) -> bool:
    together = fold_conditions(expr, var, left[0], right[1])
    remaining: list[int] = []
    _Comparisons(var, lambda _, slope, base: remaining.append(slope))(together)
    return not remaining


class _Comparisons(Translator):
    """Calls back on every comparison that is linear in `var`, and folds what became constant."""

    def __init__(self, var: Any, found: Callable[[Any, int, int], Any]) -> None:
        super().__init__([], None, free=True)
        self._axis = var
        self._found = found

    def __call__(self, expr: Any) -> Any:
        kind = type(expr)
        if kind in _COMPARE:
            linear = _linear(expr, self._axis)
            decided = self._found(expr, *linear) if linear is not None else None
            return super().__call__(expr) if decided is None else decided
        if kind in (tirx.And, tirx.Or, tirx.Not):
            return self._logic(expr)
        if isinstance(expr, ir.Call) and getattr(expr.op, "name", "") == IF_THEN_ELSE:
            return self._branch(expr.args, tirx.if_then_else)
        if kind is tirx.Select:
            return self._branch((expr.condition, expr.true_value, expr.false_value), tirx.Select)
        return super().__call__(expr)

    def _branch(self, parts: Any, rebuild: Callable[..., Any]) -> Any:
        condition = self(parts[0])
        known = _constant(condition)
        if known is None:
            return rebuild(condition, self(parts[1]), self(parts[2]))
        return self(parts[1] if known else parts[2])

    def _logic(self, expr: Any) -> Any:
        if isinstance(expr, tirx.Not):
            inner = self(expr.a)
            known = _constant(inner)
            return tirx.Not(inner) if known is None else tirx.const(not known, "bool")
        absorbing = isinstance(expr, tirx.Or)
        left, right = self(expr.a), self(expr.b)
        for one, other in ((left, right), (right, left)):
            known = _constant(one)
            if known is not None:
                return one if known == absorbing else other
        return type(expr)(left, right)


def _constant(expr: Any) -> bool | None:
    return bool(int(expr)) if isinstance(expr, tirx.IntImm) else None


def _linear(expr: Any, var: Any) -> tuple[int, int] | None:
    """`(slope, base)` with `expr.a - expr.b == slope * var + base`, slope 1 or -1."""
    difference = sym.Analyzer().simplify(expr.a - expr.b) if _is_int(expr.a) else None
    if difference is None:
        return None
    terms = sym.detect_linear_equation(difference, [var])
    if len(terms) != 2 or not all(isinstance(t, tirx.IntImm) for t in terms):
        return None
    slope = int(terms[0])
    return (slope, int(terms[1])) if slope in (1, -1) else None


def _is_int(expr: Any) -> bool:
    return str(expr.ty.dtype) in ("int32", "int64")
