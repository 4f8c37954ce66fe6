"""What the passes on quantised models ask: scales and zero points, and quantised constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from .relax_values import constant_value, dims_of_expr, dtype_of

__all__ = [
    "Dequantized",
    "Lookup",
    "QuantizedConstant",
    "along_axis",
    "call_name",
    "dequantized",
    "quantized_constant",
]

Array = np.ndarray[Any, Any]
Lookup = Callable[[Any], Any]
"""From a Relax variable to what is bound to it, None where that is unknown."""


@dataclass(frozen=True)
class Dequantized:
    """A `dequantize` of a computed tensor: `(values - zero_point) * scale` along `axis`.

    Attributes
    ----------
    values
        Relax expression of integers.
    scale, zero_point
        Arrays of no axis, or of one as long as `axis`.
    axis
        Axis of `values`, not negative.
    """

    values: Any
    scale: Array
    zero_point: Array
    axis: int

    @property
    def per_tensor(self) -> bool:
        """Whether one scale and one zero point serve all elements."""
        return self.scale.ndim == 0 and self.zero_point.ndim == 0

    def same_grid(self, scale: Array, zero_point: Array, dtype: str) -> bool:
        """Whether values quantised to that grid would be these very integers."""
        return (
            self.per_tensor
            and scale.ndim == zero_point.ndim == 0
            and float(scale) == float(self.scale)
            and int(zero_point) == int(self.zero_point)
            and dtype == dtype_of(self.values)
        )


@dataclass(frozen=True)
class QuantizedConstant:
    """A constant behind a `dequantize`; scale and zero point broadcast against the values."""

    values: Array
    scale: Array
    zero_point: Array

    @property
    def floats(self) -> Array:
        """What the constant stands for, as ONNX computes it."""
        centred = self.values.astype(np.int32) - self.zero_point.astype(np.int32)
        result: Array = centred.astype(np.float32) * self.scale.astype(np.float32)
        return result

    def reshaped(self, dims: tuple[int, ...]) -> QuantizedConstant:
        """The constant in another shape."""
        shape = self.values.shape
        return QuantizedConstant(
            self.values.reshape(dims),
            np.broadcast_to(self.scale, shape).reshape(dims),
            np.broadcast_to(self.zero_point, shape).reshape(dims),
        )

    def transposed(self, axes: list[int] | None) -> QuantizedConstant:
        """The constant with its axes permuted."""
        parts = (self.values, self.scale, self.zero_point)
        return QuantizedConstant(*(np.transpose(part, axes) for part in parts))


def call_name(expr: Any) -> str | None:
    """Name of the operator that `expr` calls, None where it calls none."""
    known = isinstance(expr, relax.Call) and isinstance(expr.op, tvm.ir.Op)
    return str(expr.op.name) if known else None


def along_axis(array: Array, axis: int, rank: int) -> Array:
    """`array` of at most one axis, shaped to broadcast along `axis` of a tensor of `rank`."""
    if array.ndim == 0:
        return array.reshape((1,) * rank)
    return array.reshape([-1 if position == axis else 1 for position in range(rank)])


def dequantized(expr: Any, lookup: Lookup) -> Dequantized | None:
    """Read `expr` as a `dequantize` to float32 with constant parameters."""
    call = lookup(expr)
    if call_name(call) != "relax.dequantize" or dtype_of(call) != "float32":
        return None
    dims = dims_of_expr(call)
    parameters = [_parameter(lookup(argument)) for argument in call.args[1:]]
    if dims is None or parameters[0] is None or parameters[1] is None:
        return None
    axis = int(call.attrs.axis) % max(1, len(dims))
    return Dequantized(call.args[0], parameters[0], parameters[1], axis)


def quantized_constant(expr: Any, lookup: Lookup) -> QuantizedConstant | None:
    """Read `expr` as a dequantised constant, seen through views and transposes."""
    call = lookup(expr)
    name, dims = call_name(call), dims_of_expr(expr)
    if name is None or dims is None:
        return None
    if name in ("relax.reshape", "relax.expand_dims", "relax.squeeze"):
        inner = quantized_constant(call.args[0], lookup)
        return None if inner is None else inner.reshaped(dims)
    if name == "relax.permute_dims":
        inner = quantized_constant(call.args[0], lookup)
        axes = call.attrs.axes
        wanted = None if axes is None else [int(axis) for axis in axes]
        return None if inner is None else inner.transposed(wanted)
    found = dequantized(expr, lookup)
    values = None if found is None else constant_value(lookup(found.values))
    if found is None or values is None:
        return None
    scale = along_axis(found.scale, found.axis, values.ndim)
    return QuantizedConstant(values, scale, along_axis(found.zero_point, found.axis, values.ndim))


def _parameter(expr: Any) -> Array | None:
    """A constant scale or zero point; one element means one for the whole tensor."""
    array = constant_value(expr)
    if array is None or array.ndim > 1:
        return None
    return array.reshape(()) if array.size == 1 else array
