"""Move transposes behind element-wise operators, pooling and reductions; cancel inverse pairs.

TVM's layout conversion knows few element-wise operators; around all others (clip, leaky ReLU, ...)
it leaves a pair of transposes, which would keep them out of the convolution's task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from .channels_last import before_transpose, shuffled_channels
from .quantized_values import call_name
from .relax_values import constant, constant_value, dims_of_expr
from .rewrite import rewrite_functions

__all__ = ["ELEMENTWISE", "SinkTransposes"]

ELEMENTWISE = frozenset(
    f"relax.{name}"
    for name in (
        *("abs", "add", "astype", "ceil", "clip", "cos", "divide", "erf", "exp", "floor"),
        *("log", "maximum", "minimum", "multiply", "negative", "nn.gelu", "nn.gelu_tanh"),
        *("nn.leakyrelu", "nn.relu", "nn.relu6", "nn.silu", "nn.softplus", "power", "round"),
        *("rsqrt", "sigmoid", "sign", "sin", "sqrt", "square", "subtract", "tanh"),
    )
)
"""Operators that work element by element, so that a change of layout may go past them."""
_MAX_ROUNDS = 8
"""Every round moves transposes past one operator of each branch at least; chains are short."""


@tvm.transform.module_pass(opt_level=0, name="SinkTransposes")
@dataclass(frozen=True)
class SinkTransposes:
    """`op(permute_dims(x))` to `permute_dims(op(x))`; inverse pairs vanish."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        for _ in range(_MAX_ROUNDS):
            mutator = _Sinker(mod)
            mod = relax.transform.CanonicalizeBindings()(rewrite_functions(mod, mutator))
            mod = relax.transform.DeadCodeElimination()(mod)
            if not mutator.moved:
                break
        return mod


@relax.expr_functor.mutator
class _Sinker(relax.PyExprMutator):  # type: ignore[misc]
    """Rewrites calls; `moved` counts how many."""

    def __init__(self, mod: Any) -> None:
        super().__init__(mod)
        self.moved = 0
        self._splits: dict[Any, Any] = {}

    def visit_tuple_getitem_(self, item: Any) -> Any:
        """A part of what is split, in front of the transpose of the whole."""
        item = self.visit_expr_post_order(item)
        split = self._lookup(item.tuple_value)
        permute = self._permute(split.args[0]) if call_name(split) == "relax.split" else None
        if permute is None:
            return item
        axes, attrs = _axes(permute), split.attrs
        if item.tuple_value not in self._splits:
            sections = attrs.indices_or_sections
            where = sections if isinstance(sections, int) else [int(index) for index in sections]
            moved = relax.op.split(permute.args[0], where, axes[int(attrs.axis)])
            self._splits[item.tuple_value] = self.builder_.emit(moved)
        self.moved += 1
        part = self.builder_.emit(relax.TupleGetItem(self._splits[item.tuple_value], item.index))
        return relax.op.permute_dims(part, axes)

    def visit_call_(self, call: Any) -> Any:
        """Sink the transposes in front of `call`, or cancel it against one."""
        call = self.visit_expr_post_order(call)
        if not isinstance(call.op, tvm.ir.Op):
            return call
        if call.op.name == "relax.permute_dims":
            return self._cancel(call)
        if call.op.name == "relax.concat":
            return self._concat(call)
        shuffled = shuffled_channels(call, self._lookup)
        if shuffled is not None:
            self.moved += 1
            return relax.op.permute_dims(self.builder_.emit(shuffled), [0, 3, 1, 2])
        return self._sink(call) if call.op.name in ELEMENTWISE else self._swap(call)

    def _concat(self, call: Any) -> Any:
        parts = self._lookup(call.args[0])
        permutes = [self._permute(part) for part in parts.fields] if _is_tuple(parts) else [None]
        if any(permute is None or _axes(permute) != _axes(permutes[0]) for permute in permutes):
            return call
        axes = _axes(permutes[0])
        sources = [permute.args[0] for permute in permutes if permute is not None]
        moved = relax.op.concat(sources, axes[int(call.attrs.axis) % len(axes)])
        self.moved += 1
        return relax.op.permute_dims(self.builder_.emit(moved), axes)

    def _cancel(self, call: Any) -> Any:
        inner = self._permute(call.args[0])
        if inner is None:
            return call
        axes = [_axes(inner)[axis] for axis in _axes(call)]
        self.moved += 1
        if axes == sorted(axes):
            return inner.args[0]
        return relax.op.permute_dims(inner.args[0], axes)

    def _sink(self, call: Any) -> Any:
        permutes = [self._permute(arg) for arg in call.args]
        found = next((p for p in permutes if p is not None), None)
        if found is None:
            return call
        axes = _axes(found)
        sources = [
            self._source(arg, permute, axes)
            for arg, permute in zip(call.args, permutes, strict=True)
        ]
        if any(source is None for source in sources):
            return call
        moved = self.builder_.emit(relax.Call(call.op, sources, call.attrs, call.ty_args))
        self.moved += 1
        return relax.op.permute_dims(moved, axes)

    def _swap(self, call: Any) -> Any:
        """A window or reduction in front of its operand's transpose."""
        permute = self._permute(call.args[0]) if call.args else None
        if permute is None:
            return call
        moved = before_transpose(call, permute.args[0], _axes(permute))
        if moved is None:
            return call
        self.moved += 1
        return relax.op.permute_dims(self.builder_.emit(moved), _axes(permute))

    def _source(self, arg: Any, permute: Any | None, axes: Sequence[int]) -> Any | None:
        """The argument before its transpose; a constant is transposed back."""
        if permute is not None:
            return permute.args[0] if _axes(permute) == list(axes) else None
        if not isinstance(arg.ty, relax.TensorType):
            return arg
        array = self._constant(arg)
        if array is None or array.ndim > len(axes):
            return None
        if array.size == 1:
            return arg if array.ndim == 0 else constant(array.reshape((1,) * len(axes)))
        full = array.reshape((1,) * (len(axes) - array.ndim) + array.shape)
        return constant(np.transpose(full, np.argsort(axes)))

    def _lookup(self, arg: Any) -> Any:
        bound = self.lookup_binding(arg) if isinstance(arg, relax.Var) else arg
        return arg if bound is None else bound

    def _permute(self, arg: Any) -> Any | None:
        bound = self._lookup(arg)
        if not isinstance(bound, relax.Call) or not isinstance(bound.op, tvm.ir.Op):
            return None
        known = bound.op.name == "relax.permute_dims" and dims_of_expr(bound) is not None
        return bound if known and bound.attrs.axes is not None else None

    def _constant(self, arg: Any) -> np.ndarray[Any, Any] | None:
        return constant_value(self._lookup(arg))


def _is_tuple(expr: Any) -> bool:
    return isinstance(expr, relax.Tuple)


def _axes(call: Any) -> list[int]:
    return [int(axis) for axis in call.attrs.axes]
