"""Means of bytes as exact sums in int32: average pooling, and means over axes.

    mean(dequantize(x))  is  dequantize(sum(x - zero_point)), with the scale by the count

so that what is rounded is one number, once. The sum over a window is a depthwise convolution with
weights of 1, whose padding is the zero point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax

from .quantized_values import Dequantized
from .quantized_weights import dequantize
from .relax_values import dims_of_expr

__all__ = ["average_pool", "mean"]

_MOST_SUMMED = 2**31 // 2**8
"""Bytes of which the sum fits in int32."""

Emit = Callable[[Any], Any]


def mean(call: Any, data: Dequantized, emit: Emit) -> Any | None:
    """`relax.mean` of the bytes in `data`; None where their sum may not fit."""
    dims = dims_of_expr(data.values) or ()
    axes = range(len(dims)) if call.attrs.axis is None else [int(a) for a in call.attrs.axis]
    count = math.prod(dims[axis] for axis in axes)
    if count > _MOST_SUMMED:
        return None
    wide = emit(relax.op.astype(data.values, "int32"))
    total = emit(relax.op.sum(wide, list(axes), keepdims=bool(call.attrs.keepdims)))
    if data.zero_point.any():
        offset = relax.const(count * int(data.zero_point), "int32")
        total = emit(relax.op.subtract(total, offset))
    return dequantize(total, _divided(data.scale, count), 0)


def average_pool(call: Any, data: Dequantized, centred: Any, emit: Emit) -> Any | None:
    """`relax.nn.avg_pool2d` of the bytes in `data`, which are `centred` without their zero point.

    None where windows reach beyond the padding, or the layout is not NCHW.
    """
    attrs = call.attrs
    dims, made = dims_of_expr(data.values), dims_of_expr(call)
    if dims is None or made is None or str(attrs.layout) != "NCHW":
        return None
    window = [int(extent) for extent in attrs.pool_size]
    counts = _counts(attrs, dims[2:], made[2:])
    if counts is None:
        return None
    channels, area = dims[1], math.prod(window)
    total = relax.op.nn.conv2d(
        centred,
        relax.const(np.ones((channels, 1, *window), np.int8)),
        strides=attrs.strides,
        padding=attrs.padding,
        dilation=attrs.dilation,
        groups=channels,
        data_layout="NCHW",
        kernel_layout="OIHW",
        out_dtype="int32",
    )
    pooled = dequantize(emit(total), _divided(data.scale, area), 0)
    if (counts == area).all():
        return pooled
    return relax.op.multiply(emit(pooled), relax.const((area / counts).astype(np.float32)))


def _counts(attrs: Any, extents: tuple[int, ...], made: tuple[int, ...]) -> Any | None:
    """How many elements each window takes the mean of, [1, 1, height, width]."""
    inside = [_inside(attrs, axis, extents[axis], made[axis]) for axis in range(2)]
    if inside[0] is None or inside[1] is None:
        return None
    return np.outer(inside[0], inside[1])[None, None].astype(np.float64)


def _inside(attrs: Any, axis: int, extent: int, made: int) -> Any | None:
    """Elements of each window along one axis, padding included where it counts."""
    taps, stride, dilation = (
        int(values[axis]) for values in (attrs.pool_size, attrs.strides, attrs.dilation)
    )
    before, after = int(attrs.padding[axis]), int(attrs.padding[axis + 2])
    if (made - 1) * stride + (taps - 1) * dilation >= extent + before + after:
        return None
    if bool(attrs.count_include_pad):
        return np.full(made, taps)
    first = np.arange(made)[:, None] * stride - before
    place = first + np.arange(taps) * dilation
    return ((place >= 0) & (place < extent)).sum(axis=1)


def _divided(scale: Any, count: int) -> Any:
    return np.asarray(np.float32(float(scale) / count))
