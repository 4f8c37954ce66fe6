"""Compute with the integers of a quantised model: products, sums and moves between them.

A model in QDQ form says `quantize(op(dequantize(x), dequantize(w)))`. Here the dequantised
operands of convolutions and matrix products are replaced by the integers behind them, so that

    conv2d(dequantize(x), dequantize(w))  is  dequantize(conv2d(x - zero_point, w))

with the scale of the product; means, biases, ReLU and everything that only moves values follow onto
the integers, and `quantize` of a dequantised value becomes one multiplication. All of it is written
in ordinary operators on integer tensors. What has no such form stays as it is, in float32.

Computed 8-bit tensors become unsigned (the zero point moves by 128): x86's dot product wants one
operand unsigned and the other signed, and weights are signed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from .quantized_grid import BYTES, Grid, Term, grid_of, positive, quantize_tail, scalar
from .quantized_pooling import average_pool, mean
from .quantized_values import (
    Dequantized,
    along_axis,
    call_name,
    dequantized,
    quantized_constant,
)
from .quantized_weights import align, dequantize, groups_fit, product, weight_of
from .relax_values import constant_value, dims_of_expr, dtype_of
from .rewrite import rewrite_functions

__all__ = ["IntegerOperators"]

_TO_UNSIGNED = 128
_SAME_SCALE = 1e-4
"""Relative difference below which a bias counts as quantised on the grid of its product."""


@tvm.transform.module_pass(opt_level=0, name="IntegerOperators")
@dataclass(frozen=True)
class IntegerOperators:
    """Operators between `dequantize` and `quantize` to operators on integers."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass; runs on NCHW operators, before constants are folded."""
        return relax.transform.DeadCodeElimination()(rewrite_functions(mod, _Rewriter(mod)))


@relax.expr_functor.mutator
class _Rewriter(relax.PyExprMutator):  # type: ignore[misc]
    """One rule per operator; a rule returns None where it does not apply."""

    def visit_call_(self, call: Any) -> Any:
        """Apply the operator's rule after its arguments have been rewritten."""
        call = self.builder_.normalize(self.visit_expr_post_order(call))
        rule = _RULES.get(call_name(call) or "")
        result = getattr(self, rule)(call) if rule is not None else None
        return call if result is None else result

    def _lookup(self, expr: Any) -> Any:
        return self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr

    def _emit(self, expr: Any) -> Any:
        return self.builder_.emit(expr)

    def _dequantized(self, expr: Any) -> Dequantized | None:
        """`expr` as a dequantised computed tensor; None for constants."""
        found = dequantized(expr, self._lookup)
        if found is None or constant_value(self._lookup(found.values)) is not None:
            return None
        return found

    def _bytes(self, expr: Any) -> Dequantized | None:
        """`expr` as a dequantised computed tensor of unsigned bytes on one grid."""
        found = self._dequantized(expr)
        usable = found is not None and found.per_tensor and dtype_of(found.values) == "uint8"
        return found if usable else None

    # Entering and leaving the integers

    def _dequantize(self, call: Any) -> Any | None:
        found = self._dequantized(self._emit(call))
        if found is None or dtype_of(found.values) != "int8":
            return None
        zero_point = found.zero_point.astype(np.int32) + _TO_UNSIGNED
        return relax.op.dequantize(
            self._unsigned(found.values),
            call.args[1],
            relax.const(zero_point.astype("uint8")),
            axis=found.axis,
            out_dtype="float32",
        )

    def _unsigned(self, values: Any) -> Any:
        """The int8 tensor plus 128; where it was made from that, the original."""
        bound = self._lookup(values)
        if call_name(bound) == "relax.astype":
            shifted = self._lookup(bound.args[0])
            if call_name(shifted) == "relax.subtract" and dtype_of(shifted) == "int16":
                wide = self._lookup(shifted.args[0])
                if call_name(wide) == "relax.astype" and dtype_of(wide.args[0]) == "uint8":
                    return wide.args[0]
        wide = self._emit(relax.op.astype(values, "int16"))
        shifted = self._emit(relax.op.add(wide, relax.const(_TO_UNSIGNED, "int16")))
        return self._emit(relax.op.astype(shifted, "uint8"))

    def _quantize(self, call: Any) -> Any | None:
        grid = grid_of(call)
        if grid is None:
            return None
        if grid.dtype == "uint8":
            return self._quantized(call, call.args[0], grid)
        moved = Grid(grid.scale, grid.zero_point + _TO_UNSIGNED, "uint8")
        value = self._quantized(call, call.args[0], moved)
        if value is None:
            value = moved.quantize(call.args[0])
        wide = self._emit(relax.op.astype(self._emit(value), "int16"))
        shifted = self._emit(relax.op.subtract(wide, relax.const(_TO_UNSIGNED, "int16")))
        return relax.op.astype(shifted, "int8")

    def _quantized(self, call: Any, value: Any, grid: Grid) -> Any | None:
        """`value` on `grid`, where it is made of dequantised tensors."""
        bound = self._lookup(value)
        name = call_name(bound)
        if name in ("relax.clip", "relax.nn.relu", "relax.nn.relu6"):
            return self._clipped(call, bound, grid)
        if name == "relax.add":
            return self._sum(bound, grid)
        found = self._dequantized(value)
        if found is None:
            return None
        if found.same_grid(grid.scale, np.asarray(grid.zero_point), grid.dtype):
            return found.values
        rank = len(dims_of_expr(found.values) or ())
        ratio = (found.scale / grid.scale).astype(np.float32)
        scaled = self._emit(
            relax.op.multiply(
                self._centred_float(found), relax.const(along_axis(ratio, found.axis, rank))
            )
        )
        return quantize_tail(self._emit, scaled, grid.zero_point, grid.dtype)

    def _centred_float(self, found: Dequantized) -> Any:
        """Integers less their zero point, as float32."""
        rank = len(dims_of_expr(found.values) or ())
        if not found.zero_point.any():
            return self._emit(relax.op.astype(found.values, "float32"))
        wide = self._emit(relax.op.astype(found.values, "int32"))
        zero_point = along_axis(found.zero_point.astype("int32"), found.axis, rank)
        centred = self._emit(relax.op.subtract(wide, relax.const(zero_point)))
        return self._emit(relax.op.astype(centred, "float32"))

    def _clipped(self, call: Any, clip: Any, grid: Grid) -> Any | None:
        """Quantisation is monotone: clip the integers instead."""
        inner = self._quantized(call, clip.args[0], grid)
        if inner is None:
            return None
        low, high = _clip_limits(clip)
        inner = self._emit(inner)
        if grid.of(low) > np.iinfo(grid.dtype).min:
            inner = self._emit(relax.op.maximum(inner, relax.const(grid.of(low), grid.dtype)))
        if grid.of(high) < np.iinfo(grid.dtype).max:
            inner = self._emit(relax.op.minimum(inner, relax.const(grid.of(high), grid.dtype)))
        return inner

    def _sum(self, add: Any, grid: Grid) -> Any | None:
        """`a * ratio_a + (b * ratio_b + constant)`: rounded as ONNX Runtime rounds it."""
        left, right = (self._term(argument, grid) for argument in add.args)
        if left is None or right is None or isinstance(left.values, np.ndarray):
            return None
        rank = len(dims_of_expr(add) or ())
        second = np.float32(right.ratio * right.zero_point)
        moved = float(left.ratio) * float(left.zero_point) + float(second)  # one rounding
        offset = np.float32(grid.zero_point) - np.float32(moved)
        if isinstance(right.values, np.ndarray):
            folded = right.values.astype(np.float64) * float(right.ratio) + float(offset)
            total: Any = relax.const(folded.astype(np.float32))
        else:
            total = self._multiply_add(right, scalar(offset, rank), rank)
        return quantize_tail(self._emit, self._multiply_add(left, total, rank), 0, grid.dtype)

    def _term(self, expr: Any, grid: Grid) -> Term | None:
        """A dequantised tensor or constant of bytes as a term of a sum on `grid`."""
        constant = quantized_constant(expr, self._lookup)
        if constant is not None:
            usable = constant.scale.size == 1 and str(constant.values.dtype) in BYTES
            if not usable:
                return None
            ratio = np.float32(constant.scale.reshape(())) / grid.scale
            return Term(constant.values, ratio, np.float32(constant.zero_point.reshape(())))
        found = self._bytes(expr)
        if found is None:
            return None
        return Term(
            found.values, np.float32(found.scale) / grid.scale, np.float32(found.zero_point)
        )

    def _multiply_add(self, term: Term, addend: Any, rank: int) -> Any:
        wide = self._emit(relax.op.astype(term.values, "float32"))
        product = self._emit(relax.op.multiply(wide, scalar(term.ratio, rank)))
        return self._emit(relax.op.add(product, addend))

    # Products

    def _conv2d(self, call: Any) -> Any | None:
        data, weight = (
            self._bytes(call.args[0]),
            weight_of(call.args[1], self._lookup, channel_axis=0),
        )
        attrs = call.attrs
        plain = str(attrs.data_layout) == "NCHW" and str(attrs.kernel_layout) == "OIHW"
        if data is None or weight is None or not plain or dtype_of(call) != "float32":
            return None
        if not groups_fit(int(attrs.groups), weight.values.shape):
            return None
        accumulated = self._emit(
            relax.op.nn.conv2d(
                self._centred(data),
                relax.const(weight.values),
                strides=attrs.strides,
                padding=attrs.padding,
                dilation=attrs.dilation,
                groups=int(attrs.groups),
                data_layout="NCHW",
                kernel_layout="OIHW",
                out_dtype="int32",
            )
        )
        return product(accumulated, data, weight, axis=1)

    def _matmul(self, call: Any) -> Any | None:
        data = self._bytes(call.args[0])
        if data is None or dtype_of(call) != "float32":
            return None
        if len(dims_of_expr(call.args[0]) or ()) < 2 or len(dims_of_expr(call.args[1]) or ()) < 2:
            return None
        weight = weight_of(call.args[1], self._lookup, channel_axis=-1)
        if weight is None:
            return self._matmul_of_activations(call, data)
        if weight.values.ndim != 2:
            return None
        accumulated = self._emit(
            relax.op.matmul(self._centred(data), relax.const(weight.values), out_dtype="int32")
        )
        return product(accumulated, data, weight, axis=len(dims_of_expr(call) or ()) - 1)

    def _matmul_of_activations(self, call: Any, left: Dequantized) -> Any | None:
        right = self._bytes(call.args[1])
        if right is None:
            return None
        accumulated = self._emit(
            relax.op.matmul(self._centred(left), self._centred(right), out_dtype="int32")
        )
        scale = np.float32(left.scale) * np.float32(right.scale)
        return dequantize(accumulated, np.asarray(scale, np.float32), 0)

    def _centred(self, data: Dequantized) -> Any:
        """The integers of `data` less their zero point; as they are where that is 0."""
        if not data.zero_point.any():
            return data.values
        wide = self._emit(relax.op.astype(data.values, "int32"))
        return self._emit(relax.op.subtract(wide, relax.const(int(data.zero_point), "int32")))

    def _add(self, call: Any) -> Any | None:
        """A bias quantised on the grid of its product joins the accumulator."""
        for accumulator, other in (call.args, reversed(call.args)):
            found = self._dequantized(accumulator)
            bias = quantized_constant(other, self._lookup)
            if found is None or bias is None or dtype_of(found.values) != "int32":
                continue
            if found.zero_point.any() or bias.zero_point.any() or bias.values.dtype != np.int32:
                continue
            rank = len(dims_of_expr(found.values) or ())
            grid = along_axis(found.scale, found.axis, rank)
            aligned = align(bias, rank)
            if aligned is None or dims_of_expr(call) != dims_of_expr(found.values):
                continue
            if not np.allclose(aligned.scale, grid, rtol=_SAME_SCALE, atol=0.0):
                continue
            total = self._emit(relax.op.add(found.values, relax.const(aligned.values)))
            return dequantize(total, found.scale, found.axis)
        return None

    # What only moves or compares values

    def _relu(self, call: Any) -> Any | None:
        found = self._dequantized(call.args[0])
        if found is None or not positive(found.scale) or found.zero_point.ndim:
            return None
        zero = relax.const(int(found.zero_point), dtype_of(found.values))
        return self._again(self._emit(relax.op.maximum(found.values, zero)), found)

    def _moved(self, call: Any) -> Any | None:
        found = self._bytes(call.args[0])
        if found is None or not positive(found.scale):
            return None
        arguments = [found.values, *call.args[1:]]
        moved = self._emit(relax.Call(call.op, arguments, call.attrs, call.ty_args))
        return self._again(moved, found)

    def _mean(self, call: Any) -> Any | None:
        found = self._bytes(call.args[0])
        return None if found is None else mean(call, found, self._emit)

    def _average_pool(self, call: Any) -> Any | None:
        found = self._bytes(call.args[0])
        if found is None:
            return None
        return average_pool(call, found, self._centred(found), self._emit)

    def _concat(self, call: Any) -> Any | None:
        fields = self._lookup(call.args[0])
        if not isinstance(fields, relax.Tuple):
            return None
        parts = [self._bytes(field) for field in fields.fields]
        first = parts[0]
        if first is None:
            return None
        for part in parts:
            if part is None or not part.same_grid(first.scale, first.zero_point, "uint8"):
                return None
        integers = relax.Tuple([part.values for part in parts if part is not None])
        moved = self._emit(relax.Call(call.op, [integers], call.attrs, call.ty_args))
        return self._again(moved, first)

    def _again(self, values: Any, like: Dequantized) -> Any:
        return relax.op.dequantize(
            values,
            relax.const(like.scale),
            relax.const(like.zero_point),
            axis=like.axis,
            out_dtype="float32",
        )


def _clip_limits(clip: Any) -> tuple[float, float]:
    name = call_name(clip)
    if name != "relax.clip":
        return 0.0, 6.0 if name == "relax.nn.relu6" else math.inf
    low, high = (float(argument.value) for argument in clip.args[1:])
    return low, high


_RULES: Mapping[str, str] = {
    "relax.quantize": "_quantize",
    "relax.dequantize": "_dequantize",
    "relax.nn.conv2d": "_conv2d",
    "relax.matmul": "_matmul",
    "relax.add": "_add",
    "relax.nn.relu": "_relu",
    "relax.concat": "_concat",
    "relax.mean": "_mean",
    "relax.nn.avg_pool2d": "_average_pool",
    **dict.fromkeys(
        (
            *("relax.reshape", "relax.permute_dims", "relax.expand_dims", "relax.squeeze"),
            *("relax.strided_slice", "relax.nn.max_pool2d", "relax.nn.batch_flatten"),
        ),
        "_moved",
    ),
}
"""Method of `_Rewriter` by operator."""
