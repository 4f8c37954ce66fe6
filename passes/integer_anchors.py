"""Convolutions and products of 8-bit integers to annotated blocks for the integer kernels.

The kernels multiply unsigned activations as they are with signed weights. The activations' zero
point is taken off afterwards: `sum (x - z) w = sum x w - z sum w`, the last a constant per channel
that is computed here; a padded map is padded with the zero point. Four values are multiplied at
once, so the multiplied axis is filled up with zeros to whole groups of four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax, te, tirx

from .quantized_values import call_name
from .relax_values import constant_value, dims_of_expr, dtype_of
from .rewrite import rewrite_functions
from .te_blocks import batch_indices, te_conv2d

__all__ = ["IntegerAnchors"]

_OUT_ELEMENTWISE_FUSABLE = 4
_WORD = 4
"""Values that one dot-product instruction multiplies per lane."""
_SIGN = 128


@tvm.transform.module_pass(opt_level=0, name="IntegerAnchors")
@dataclass(frozen=True)
class IntegerAnchors:
    """`conv2d` and `matmul` that accumulate bytes in int32, to annotated TIR calls."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass; runs on NHWC convolutions with constants folded."""
        return relax.transform.DeadCodeElimination()(rewrite_functions(mod, _Rewriter(mod)))


@dataclass(frozen=True)
class _Operand:
    """Unsigned bytes and the zero point to be taken off them."""

    values: Any
    zero_point: int


@relax.expr_functor.mutator
class _Rewriter(relax.PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: Any) -> Any:
        """Replace products of integers; join the constants that are added to them."""
        call = self.builder_.normalize(self.visit_expr_post_order(call))
        name = call_name(call)
        if name == "relax.nn.conv2d" and dtype_of(call) == "int32":
            return self._conv2d(call)
        if name == "relax.matmul" and dtype_of(call) == "int32":
            return self._matmul(call)
        if name == "relax.add" and dtype_of(call) == "int32":
            return self._add(call)
        return call

    def _lookup(self, expr: Any) -> Any:
        return self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr

    def _operand(self, expr: Any) -> _Operand | None:
        """The bytes behind `x`, `x - zero_point` or a transpose of either."""
        if dtype_of(expr) == "uint8":
            return _Operand(expr, 0)
        bound = self._lookup(expr)
        if call_name(bound) == "relax.permute_dims":
            inner = self._operand(bound.args[0])
            if inner is None:
                return None
            moved = relax.op.permute_dims(inner.values, bound.attrs.axes)
            return _Operand(self.builder_.emit(moved), inner.zero_point)
        if call_name(bound) != "relax.subtract":
            return None
        wide, point = self._lookup(bound.args[0]), constant_value(self._lookup(bound.args[1]))
        if call_name(wide) != "relax.astype" or point is None or point.size != 1:
            return None
        values = wide.args[0]
        return _Operand(values, int(point.reshape(()))) if dtype_of(values) == "uint8" else None

    def _conv2d(self, call: Any) -> Any:
        attrs = call.attrs
        data, weight = self._operand(call.args[0]), constant_value(self._lookup(call.args[1]))
        nhwc = str(attrs.data_layout) == "NHWC" and str(attrs.kernel_layout) == "HWIO"
        if data is None or weight is None or weight.dtype != np.int8 or not nhwc:
            return call
        groups, values = int(attrs.groups), data.values
        depthwise = groups > 1 and weight.shape[2] == 1
        if groups == 1 and weight.shape[2] % _WORD:
            values = self._filled(values)
            weight = np.pad(weight, ((0, 0), (0, 0), (0, -weight.shape[2] % _WORD), (0, 0)))
        product = self.builder_.call_te(
            te_conv2d,
            values,
            relax.const(weight),
            strides=[int(v) for v in attrs.strides],
            padding=[int(v) for v in attrs.padding],
            dilation=[int(v) for v in attrs.dilation],
            groups=groups,
            out_shape=[int(dim) for dim in dims_of_expr(call) or ()],
            anchor="int8_depthwise" if depthwise else "int8_conv2d",
            accumulator="int32",
            pad_value=data.zero_point,
            primfunc_name_hint="int8_conv2d",
            primfunc_attrs={"op_pattern": _OUT_ELEMENTWISE_FUSABLE},
        )
        return self._less(product, data.zero_point, weight.sum(axis=(0, 1, 2), dtype=np.int32))

    def _matmul(self, call: Any) -> Any:
        left, weight = self._operand(call.args[0]), constant_value(self._lookup(call.args[1]))
        if left is None:
            return call
        if weight is None:
            return self._matmul_of_activations(call, left)
        if weight.dtype != np.int8 or weight.ndim != 2:
            return call
        values = left.values
        if weight.shape[0] % _WORD:
            values = self._filled(values)
            weight = np.pad(weight, ((0, -weight.shape[0] % _WORD), (0, 0)))
        product = self.builder_.call_te(
            _te_linear,
            values,
            relax.const(weight),
            primfunc_name_hint="int8_linear",
            primfunc_attrs={"op_pattern": _OUT_ELEMENTWISE_FUSABLE},
        )
        return self._less(product, left.zero_point, weight.sum(axis=0, dtype=np.int32))

    def _matmul_of_activations(self, call: Any, left: _Operand) -> Any:
        """`sum (a-x)(b-y)` as `sum a b' - y' sum a - x sum b' + k x y'`, b' and y' less 128."""
        right = self._operand(call.args[1])
        if right is None:
            return call
        emit = self.builder_.emit
        values = left.values
        depth = (dims_of_expr(values) or ())[-1]
        if depth % _WORD:
            values = self._filled(values)
        words = emit(self.builder_.call_te(_te_words, right.values, primfunc_name_hint="words"))
        product = emit(
            self.builder_.call_te(
                _te_product,
                values,
                words,
                out_shape=[int(dim) for dim in dims_of_expr(call) or ()],
                primfunc_name_hint="int8_matmul",
                primfunc_attrs={"op_pattern": _OUT_ELEMENTWISE_FUSABLE},
            )
        )
        offset = right.zero_point - _SIGN
        constant = depth * left.zero_point * offset
        if offset:
            rows = self._sum(left.values, axis=-1, factor=-offset)
            product = emit(relax.op.add(product, rows))
        if left.zero_point:
            columns = self._sum(right.values, axis=-2, factor=-left.zero_point)
            product = emit(relax.op.add(product, columns))
            constant += depth * _SIGN * left.zero_point  # the columns' sums are those of b
        return relax.op.add(product, relax.const(constant, "int32"))

    def _sum(self, values: Any, axis: int, factor: int) -> Any:
        emit = self.builder_.emit
        wide = emit(relax.op.astype(values, "int32"))
        total = emit(relax.op.sum(wide, axis=axis, keepdims=True))
        return emit(relax.op.multiply(total, relax.const(factor, "int32")))

    def _filled(self, values: Any) -> Any:
        """`values` with zeros up to a multiple of four along the last axis."""
        return self.builder_.emit(
            self.builder_.call_te(_te_filled, values, primfunc_name_hint="fill")
        )

    def _less(self, product: Any, zero_point: int, sums: np.ndarray[Any, Any]) -> Any:
        if zero_point == 0:
            return product
        return relax.op.add(self.builder_.emit(product), relax.const(-zero_point * sums))

    def _add(self, call: Any) -> Any:
        """`(x + constant) + constant` to one sum."""
        inner, constant = self._lookup(call.args[0]), constant_value(self._lookup(call.args[1]))
        if call_name(inner) != "relax.add" or constant is None:
            return call
        other = constant_value(self._lookup(inner.args[1]))
        if other is None or other.size > constant.size:
            return call
        return relax.op.add(inner.args[0], relax.const(constant + other.reshape(-1)))


def _te_linear(data: Any, weight: Any) -> Any:
    k = te.reduce_axis((0, int(weight.shape[0])), name="k")

    def element(*at: Any) -> Any:
        place = (*at[:-1], k)
        left = data[place].astype("int32")
        return te.sum(left * weight[k, at[-1]].astype("int32"), axis=k)

    shape = (*data.shape[:-1], weight.shape[1])
    attrs = {"hetcomp.anchor": "int8_linear"}
    return te.compute(shape, element, name="linear", attrs=attrs)


def _te_filled(data: Any) -> Any:
    *lead, extent = (int(dim) for dim in data.shape)

    def element(*at: Any) -> Any:
        inside = tirx.LT(at[-1], tirx.const(extent, at[-1].ty.dtype))
        return tirx.if_then_else(inside, data[at], tirx.const(0, str(data.dtype)))

    return te.compute((*lead, -(-extent // _WORD) * _WORD), element, name="filled")


def _te_words(data: Any) -> Any:
    """Four values along the second last axis, less 128, as the bytes of one word."""
    *lead, depth, columns = (int(dim) for dim in data.shape)

    def element(*at: Any) -> Any:
        word: Any = tirx.const(0, "int32")
        for byte in range(_WORD):
            k = at[-2] * _WORD + byte
            place = (*at[:-2], k, at[-1])
            value = (data[place].astype("int32") - _SIGN) & 0xFF
            if depth % _WORD:
                value = tirx.if_then_else(k < depth, value, tirx.const(0, "int32"))
            word = word | (value << tirx.const(8 * byte, "int32"))
        return word

    return te.compute((*lead, -(-depth // _WORD), columns), element, name="words")


def _te_product(left: Any, words: Any, out_shape: Sequence[int]) -> Any:
    """Sums over words; shifts are constants, for TVM widens what depends on an axis."""
    k = te.reduce_axis((0, int(left.shape[-1]) // _WORD), name="k")

    def element(*at: Any) -> Any:
        column = (*batch_indices(words, at[:-2]), k, at[-1])
        total: Any = tirx.const(0, "int32")
        for byte in range(_WORD):
            row = (*batch_indices(left, at[:-2]), at[-2], k * _WORD + byte)
            shifted = words[column] << tirx.const(24 - 8 * byte, "int32")
            signed = shifted >> tirx.const(24, "int32")
            total = total + left[row].astype("int32") * signed
        return te.sum(total, axis=k)

    attrs = {"hetcomp.anchor": "int8_matmul"}
    return te.compute(tuple(out_shape), element, name="matmul", attrs=attrs)
