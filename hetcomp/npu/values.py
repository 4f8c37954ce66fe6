"""Reads a scalar expression of TIR as a list of values (see `operators`).

Equal values are listed once. A product that only a sum uses becomes one `fma` with it, because
that is what the CPU's compiler makes of it; where the sum could take either of two products, its
rounding is the compiler's choice, and the task is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import ir, tirx
from tvm.ir.expr import TensorLoad

from hetcomp.schedules.expression import IF_THEN_ELSE, dtype_of
from hetcomp.schedules.math import APPROXIMATIONS

from .affine import Affine, Bindings, read_affine
from .operators import Value
from .refused import Refused

__all__ = ["TYPES", "Load", "ValueReader"]

TYPES = ("float32", "int32", "int16", "uint16", "int8", "uint8", "bool", "bfloat16")
"""Element types of values."""

Load = Callable[["ValueReader", Any, tuple[Affine, ...]], int]
"""Appends `buffer[indices]` to a reader's values; returns its place."""

_BINARY: Mapping[type, str] = {
    **{tirx.Add: "add", tirx.Sub: "sub", tirx.Mul: "mul", tirx.Div: "div"},
    **{tirx.Min: "min", tirx.Max: "max", tirx.And: "and", tirx.Or: "or"},
    **{tirx.BitwiseAnd: "and", tirx.BitwiseOr: "or", tirx.BitwiseXor: "xor"},
    **{tirx.LShift: "shl", tirx.RShift: "shr"},
    **{tirx.EQ: "eq", tirx.NE: "ne", tirx.LT: "lt", tirx.LE: "le", tirx.GT: "gt", tirx.GE: "ge"},
}
_INT32 = range(-(2**31), 2**31)


class ValueReader:
    """Collects the values of expressions over axes of the given extents."""

    def __init__(self, extents: Sequence[int], load: Load) -> None:
        self.extents = tuple(extents)
        self._load = load
        self._values: list[Value] = []
        self._place_of: dict[Value, int] = {}
        self._bound: list[tuple[Any, int]] = []  # variables of `Let`, and the values' places

    def add(self, operation: str, dtype: str, *arguments: Any) -> int:
        """The place of a value; made where it is new."""
        if dtype not in TYPES:
            raise Refused(f"it computes in {dtype}")
        value = (operation, dtype, *arguments)
        if value not in self._place_of:
            self._place_of[value] = len(self._values)
            self._values.append(value)
        return self._place_of[value]

    def finished(self, last: int) -> tuple[Value, ...]:
        """What the value at `last` needs, it at the end, products and sums joined."""
        return _used(_contracted(self._values), last)

    def read(self, expr: Any, bindings: Bindings) -> int:
        """Append the values of `expr`; the place of the last."""
        kind = type(expr)
        if kind is TensorLoad:
            indices = (read_affine(index, bindings, self.extents) for index in expr.indices)
            return self._load(self, expr.source, tuple(indices))
        if kind in (tirx.IntImm, tirx.FloatImm):
            return self._number(expr)
        if kind in _BINARY:
            return self._binary(_BINARY[kind], expr, expr.a, expr.b, bindings)
        if kind is tirx.Cast:
            return self._cast(expr, bindings)
        if kind is tirx.Select:
            parts = (expr.condition, expr.true_value, expr.false_value)
            return self._select(expr, parts, bindings)
        if kind is ir.Call:
            return self._call(expr, bindings)
        if kind is tirx.Let:
            self._bound.append((expr.var, self.read(expr.value, bindings)))
            return self.read(expr.body, bindings)
        if kind is tirx.Var:
            return self._variable(expr, bindings)
        raise Refused(f"it computes {kind.__name__}")

    def _index(self, place: Affine) -> int:
        return self.add("index", "int32", place.offset, place.steps)

    def _variable(self, var: Any, bindings: Bindings) -> int:
        for bound, place in self._bound:
            if var.same_as(bound):
                return place
        return self._index(read_affine(var, bindings, self.extents))

    def _number(self, expr: Any) -> int:
        dtype = dtype_of(expr)
        number = float(expr.value) if dtype == "float32" else int(expr)
        if dtype == "int64" and number in _INT32:
            dtype = "int32"
        return self.add("const", dtype, number)

    def _binary(self, operation: str, expr: Any, left: Any, right: Any, bindings: Bindings) -> int:
        dtype = dtype_of(expr)
        if dtype == "int64":  # only indices are
            return self._index(read_affine(expr, bindings, self.extents))
        if operation == "div" and "int" in dtype:
            raise Refused("it divides integers")
        places = [self.read(side, bindings) for side in (left, right)]
        return self.add(operation, dtype, *places)

    def _cast(self, expr: Any, bindings: Bindings) -> int:
        if dtype_of(expr.value) == "int64":
            return self._index(read_affine(expr.value, bindings, self.extents))
        inner = self.read(expr.value, bindings)
        dtype = dtype_of(expr)
        return inner if dtype == dtype_of(expr.value) else self.add("cast", dtype, inner)

    def _select(self, expr: Any, parts: Sequence[Any], bindings: Bindings) -> int:
        places = [self.read(part, bindings) for part in parts]
        return self.add("select", dtype_of(expr), *places)

    def _call(self, expr: Any, bindings: Bindings) -> int:
        name = expr.op.name if hasattr(expr.op, "name") else str(expr.op)
        if name == IF_THEN_ELSE:
            return self._select(expr, expr.args, bindings)
        if name not in APPROXIMATIONS or dtype_of(expr) != "float32":
            raise Refused(f"it computes {name.rpartition('.')[2]}")
        argument = tirx.Var("x", expr.args[0].ty)  # the arithmetic is that of the kernels
        self._bound.append((argument, self.read(expr.args[0], bindings)))
        return self.read(APPROXIMATIONS[name](argument), bindings)


def _arguments(value: Value) -> tuple[int, ...]:
    """Places of the values that `value` uses."""
    return () if value[0] in ("load", "index", "const", "acc") else value[2:]


def _contracted(values: Sequence[Value]) -> list[Value]:
    uses = Counter(place for value in values for place in _arguments(value))
    result = list(values)
    for place, value in enumerate(values):
        if value[0] not in ("add", "sub") or value[1] != "float32":
            continue
        products = [i for i in value[2:] if values[i][0] == "mul" and uses[i] == 1]
        if len(products) > 1:
            raise Refused("it adds two products, which a compiler may round in two ways")
        if products and value[0] == "sub":
            raise Refused("it subtracts from or with a product")
        if products:
            (product,) = products
            addend = value[3] if product == value[2] else value[2]
            result[place] = ("fma", "float32", *values[product][2:], addend)
    return result


def _used(values: Sequence[Value], last: int) -> tuple[Value, ...]:
    """The values that the one at `last` needs, numbered anew; it comes last."""
    needed = {last}
    for place in range(last, -1, -1):
        if place in needed:
            needed.update(_arguments(values[place]))
    number = {old: new for new, old in enumerate(sorted(needed))}
    return tuple(_renumbered(values[old], number) for old in sorted(needed))


def _renumbered(value: Value, number: Mapping[int, int]) -> Value:
    places = _arguments(value)
    return (*value[:2], *(number[place] for place in places)) if places else value
