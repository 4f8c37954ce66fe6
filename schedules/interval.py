"""Intervals of index expressions: between which integers a value lies when its variables do.

An expression becomes a function once and is evaluated for many bindings. What has no rule here, or
a variable without a binding (the value of a load, say), has no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tvm import ir, tirx

from .expression import IF_THEN_ELSE

__all__ = ["Bounds", "Interval", "interval_of"]


class Interval(NamedTuple):
    """Integers from `low` to `high`, both included."""

    low: int
    high: int


Bounds = Mapping[Any, Interval]
"""Intervals of variables."""

Evaluate = Callable[[Bounds], Interval | None]
Combine = Callable[[Interval, Interval], Interval | None]


def interval_of(expr: Any) -> Evaluate:
    """A function from the intervals of the variables of `expr` to its own."""
    kind = type(expr)
    if kind is tirx.IntImm:
        constant = Interval(int(expr.value), int(expr.value))
        return lambda _bounds: constant
    if kind is tirx.Var:
        return lambda bounds: bounds.get(expr)
    if kind is tirx.Cast:
        return interval_of(expr.value)
    if kind in _RULES:
        return _both(_RULES[kind], interval_of(expr.a), interval_of(expr.b))
    if kind is tirx.Select:
        return _both(_hull, interval_of(expr.true_value), interval_of(expr.false_value))
    if kind is ir.Call and getattr(expr.op, "name", "") == IF_THEN_ELSE:
        return _both(_hull, interval_of(expr.args[1]), interval_of(expr.args[2]))
    return lambda _bounds: None


def _both(combine: Combine, left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(bounds: Bounds) -> Interval | None:
        a, b = left(bounds), right(bounds)
        return None if a is None or b is None else combine(a, b)

    return evaluate


def _hull(a: Interval, b: Interval) -> Interval:
    return Interval(min(a.low, b.low), max(a.high, b.high))


def _mul(a: Interval, b: Interval) -> Interval:
    products = [x * y for x in a for y in b]
    return Interval(min(products), max(products))


def _floordiv(a: Interval, b: Interval) -> Interval | None:
    if b.low != b.high or b.low <= 0:
        return None
    return Interval(a.low // b.low, a.high // b.low)


def _floormod(a: Interval, b: Interval) -> Interval | None:
    if b.low != b.high or b.low <= 0:
        return None
    if a.low // b.low == a.high // b.low:
        return Interval(a.low % b.low, a.high % b.low)
    return Interval(0, b.low - 1)


_RULES: Mapping[type, Combine] = {
    tirx.Add: lambda a, b: Interval(a.low + b.low, a.high + b.high),
    tirx.Sub: lambda a, b: Interval(a.low - b.high, a.high - b.low),
    tirx.Mul: _mul,
    tirx.FloorDiv: _floordiv,
    tirx.FloorMod: _floormod,
    tirx.Max: lambda a, b: Interval(max(a.low, b.low), max(a.high, b.high)),
    tirx.Min: lambda a, b: Interval(min(a.low, b.low), min(a.high, b.high)),
}
