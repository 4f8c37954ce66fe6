"""Constant operands of integer products: weights, biases, and the scales of what they make."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from .quantized_grid import BYTES, positive
from .quantized_values import Array, Dequantized, Lookup, QuantizedConstant, quantized_constant

__all__ = ["align", "dequantize", "groups_fit", "product", "weight_of"]


def groups_fit(groups: int, weight_shape: tuple[int, ...]) -> bool:
    """Whether the integer kernels know the form: dense, depthwise, or groups of whole words."""
    out_channels, group_in = weight_shape[:2]
    return groups == 1 or (group_in == 1 and out_channels == groups) or group_in % 4 == 0


def _per_channel(scale: Array, shape: tuple[int, ...], axis: int) -> Array | None:
    """`scale` as one number or one per channel; None where it varies along other axes."""
    if scale.size == 1:
        return scale.reshape(())
    full = np.broadcast_to(scale, shape)
    rows = np.moveaxis(full, axis, 0).reshape(shape[axis], -1)
    return np.ascontiguousarray(rows[:, 0]) if (rows == rows[:, :1]).all() else None


def align(bias: QuantizedConstant, rank: int) -> QuantizedConstant | None:
    """`bias` with `rank` axes, as it broadcasts; None where it has more."""
    values = bias.values
    if values.ndim > rank:
        return None
    return bias.reshaped((1,) * (rank - values.ndim) + values.shape)


def product(accumulated: Any, data: Dequantized, weight: QuantizedConstant, axis: int) -> Any:
    """The `dequantize` of a product's accumulators, channels along `axis`."""
    scale = np.asarray(np.float32(data.scale) * weight.scale.astype(np.float32), np.float32)
    return dequantize(accumulated, scale, axis)


def dequantize(accumulated: Any, scale: Array, axis: int) -> Any:
    """The `dequantize` of accumulators without zero point."""
    zero = relax.const(np.zeros(scale.shape, np.int32))
    return relax.op.dequantize(
        accumulated, relax.const(scale), zero, axis=axis, out_dtype="float32"
    )


def weight_of(expr: Any, lookup: Lookup, channel_axis: int) -> QuantizedConstant | None:
    """Signed, centred 8-bit weights with a scale per channel or for all."""
    found = quantized_constant(expr, lookup)
    if found is None or str(found.values.dtype) not in BYTES or not positive(found.scale):
        return None
    centred = found.values.astype(np.int32) - found.zero_point.astype(np.int32)
    scale = _per_channel(found.scale, found.values.shape, channel_axis)
    if scale is None or centred.min(initial=0) < -128 or centred.max(initial=0) > 127:
        return None
    return QuantizedConstant(centred.astype(np.int8), scale, np.zeros((), np.int8))
