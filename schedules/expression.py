"""Rebuild an expression of a stage for use inside a kernel.

Axes are replaced by the kernel's own tile coordinates, loads are resolved by a callback (a
register tile, another stage's value, a parameter), index arithmetic is narrowed to 32 bits, and
exp, tanh, erf, sigmoid and log become arithmetic that vectorises (`hetcomp.schedules.math`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import ir, tirx
from tvm.ir.expr import TensorLoad

from . import math as vector_math

__all__ = [
    "IF_THEN_ELSE",
    "Load",
    "Translator",
    "as_dtype",
    "dtype_of",
    "flat_index",
    "to_int32",
    "unravel",
]

Load = Callable[[Any, Sequence[Any]], Any]
"""Resolves `buffer[indices]` (indices already translated, int32) to an expression."""

_BINARY: Mapping[type, Callable[[Any, Any], Any]] = {
    node: node
    for node in (
        *(tirx.Add, tirx.Sub, tirx.Mul, tirx.Div, tirx.Mod, tirx.FloorDiv, tirx.FloorMod),
        *(tirx.Min, tirx.Max, tirx.EQ, tirx.NE, tirx.LT, tirx.LE, tirx.GT, tirx.GE),
        *(tirx.BitwiseAnd, tirx.BitwiseOr, tirx.BitwiseXor, tirx.LShift, tirx.RShift),
    )
}
_LOGIC = (tirx.And, tirx.Or)
_INT32_LIMIT = 2**31
IF_THEN_ELSE = str(ir.Op.get("prim.if_then_else").name)
"""Name of the operator, which moved between versions of TVM: this line fails if it does again."""


class Translator:
    """Translates expressions under fixed bindings of axis variables.

    Parameters
    ----------
    bindings
        Pairs of axis variable and the int32 expression that stands for it.
    load
        Resolves buffer loads; None keeps them as they are.
    free
        Whether variables without a binding may stay.
    """

    def __init__(
        self, bindings: Sequence[tuple[Any, Any]], load: Load | None, *, free: bool = False
    ) -> None:
        self._bindings = list(bindings)
        self._load = load if load is not None else _keep
        self._free = free

    def __call__(self, expr: Any) -> Any:
        """The translated expression."""
        kind = type(expr)
        if kind in _BINARY:
            return self._binary(_BINARY[kind], expr)
        if kind in _LOGIC:
            return kind(self(expr.a), self(expr.b))
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise TypeError(f"no rule to translate a {kind.__name__}: {expr}")
        return handler(self, expr)

    def _binary(self, node: Callable[[Any, Any], Any], expr: Any) -> Any:
        left, right = _same_width(self(expr.a), self(expr.b))
        if node is tirx.Div and _is_row_value(right):
            return left * (tirx.FloatImm("float32", 1.0) / right)
        return node(left, right)

    def _var(self, expr: Any) -> Any:
        for var, value in self._bindings:
            if expr.same_as(var):
                return value
        if self._free:
            return expr
        raise TypeError(f"variable {expr} is bound to nothing")

    def _imm(self, expr: Any) -> Any:
        if dtype_of(expr) == "int64" and -_INT32_LIMIT <= int(expr) < _INT32_LIMIT:
            return tirx.IntImm("int32", int(expr))
        return expr

    def _load_node(self, expr: Any) -> Any:
        return self._load(expr.source, [to_int32(self(index)) for index in expr.indices])

    def _not(self, expr: Any) -> Any:
        return tirx.Not(self(expr.a))

    def _select(self, expr: Any) -> Any:
        true, false = _same_width(self(expr.true_value), self(expr.false_value))
        return tirx.Select(self(expr.condition), true, false)

    def _cast(self, expr: Any) -> Any:
        value = self(expr.value)
        return as_dtype(value, dtype_of(expr))

    def _let(self, expr: Any) -> Any:
        value = self(expr.value)
        var = tirx.Var(expr.var.name, value.ty)
        self._bindings.append((expr.var, var))
        return tirx.Let(var, value, self(expr.body))

    def _call(self, expr: Any) -> Any:
        name = expr.op.name if hasattr(expr.op, "name") else str(expr.op)
        args = [self(arg) for arg in expr.args]
        if name == IF_THEN_ELSE:
            return tirx.if_then_else(args[0], *_same_width(args[1], args[2]))
        if dtype_of(expr) == "float32" and name in vector_math.APPROXIMATIONS:
            return vector_math.APPROXIMATIONS[name](args[0])
        return ir.Call(expr.op, args, attrs=expr.attrs, ret_ty=expr.ty)


_HANDLERS: Mapping[type, Callable[[Translator, Any], Any]] = {
    tirx.Var: Translator._var,
    tirx.IntImm: Translator._imm,
    tirx.FloatImm: lambda _self, expr: expr,
    TensorLoad: Translator._load_node,
    tirx.Not: Translator._not,
    tirx.Select: Translator._select,
    tirx.Cast: Translator._cast,
    tirx.Let: Translator._let,
    ir.Call: Translator._call,
}


def _is_row_value(divisor: Any) -> bool:
    """Whether one value divides a whole row: then one division is enough for it."""
    return (
        isinstance(divisor, TensorLoad)
        and dtype_of(divisor) == "float32"
        and [int(dim) for dim in divisor.source.shape] == [1]
    )


def _keep(buffer: Any, indices: Sequence[Any]) -> Any:
    return buffer[tuple(indices)]


def dtype_of(expr: Any) -> str:
    """Element type of `expr`."""
    return str(expr.ty.dtype)


def as_dtype(expr: Any, dtype: str) -> Any:
    """`expr` cast to `dtype` unless it has it."""
    return expr if dtype_of(expr) == dtype else tirx.Cast(dtype, expr)


def to_int32(expr: Any) -> Any:
    """`expr` as a 32-bit index."""
    return tirx.IntImm("int32", expr) if isinstance(expr, int) else as_dtype(expr, "int32")


def flat_index(shape: Sequence[int], indices: Sequence[Any]) -> Any:
    """Row-major offset of `indices` in a tensor of `shape`, in elements.

    The last extent may be a pitch: larger than any index along it.
    """
    offset: Any = tirx.IntImm("int32", 0)
    for extent, index in zip(shape, indices, strict=True):
        offset = offset * int(extent) + index
    return offset


def unravel(index: Any, shape: Sequence[int]) -> list[Any]:
    """Coordinates of the element at the row-major offset `index` in a tensor of `shape`."""
    coordinates: list[Any] = []
    stride = math.prod(shape)
    for position, extent in enumerate(shape):
        stride //= extent
        if extent == 1:
            coordinates.append(tirx.IntImm("int32", 0))
            continue
        quotient = index if stride == 1 else tirx.floordiv(index, tirx.IntImm("int32", stride))
        outermost = math.prod(shape[:position]) == 1
        coordinates.append(quotient if outermost else tirx.floormod(quotient, extent))
    return coordinates


def _same_width(left: Any, right: Any) -> tuple[Any, Any]:
    """Widen the narrower of two integers; narrowing of indices can leave them apart."""
    if {dtype_of(left), dtype_of(right)} == {"int32", "int64"}:
        return as_dtype(left, "int64"), as_dtype(right, "int64")
    return left, right
