"""Values of a kernel's index expressions at one point: what its loops and branches do there."""

from __future__ import annotations

import operator
from collections.abc import Callable, MutableMapping
from typing import Any

from tvm import tirx
from tvm.ir.expr import TensorLoad

__all__ = ["Point", "Value", "value_at"]

Value = int | bool | None
Point = MutableMapping[Any, Value]
"""Values of variables, and of buffers that hold one integer; None where one is not known."""

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    tirx.Add: operator.add,
    tirx.Sub: operator.sub,
    tirx.Mul: operator.mul,
    tirx.FloorDiv: operator.floordiv,
    tirx.Div: operator.floordiv,
    tirx.FloorMod: operator.mod,
    tirx.Min: min,
    tirx.Max: max,
    tirx.LT: operator.lt,
    tirx.LE: operator.le,
    tirx.GT: operator.gt,
    tirx.GE: operator.ge,
    tirx.EQ: operator.eq,
    tirx.NE: operator.ne,
    tirx.And: lambda a, b: a and b,
    tirx.Or: lambda a, b: a or b,
}


def value_at(expr: Any) -> Callable[[Point], Value]:
    """A function from a point to the value of `expr` there."""
    kind = type(expr)
    if kind is tirx.IntImm:
        constant = int(expr.value)
        return lambda _point: constant
    if kind is tirx.Var:
        return lambda point: point.get(expr)
    if kind is TensorLoad:
        return lambda point: point.get(expr.source)
    if kind is tirx.Cast:
        return value_at(expr.value)
    if kind in _BINARY:
        return _both(_BINARY[kind], value_at(expr.a), value_at(expr.b))
    return lambda _point: None


def _both(
    combine: Callable[[Any, Any], Any],
    left: Callable[[Point], Value],
    right: Callable[[Point], Value],
) -> Callable[[Point], Value]:
    def evaluate(point: Point) -> Value:
        a, b = left(point), right(point)
        if a is None or b is None:
            return None
        try:
            found: Value = combine(a, b)
        except ZeroDivisionError:
            return None
        return found

    return evaluate
