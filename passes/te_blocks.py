"""Naive definitions shared by float and integer anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import te, tirx

__all__ = ["batch_indices", "te_conv2d"]


def te_conv2d(
    data: Any,
    weight: Any,
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    out_shape: Sequence[int],
    anchor: str,
    accumulator: str,
    nchw: bool = False,
    pad_value: int = 0,
) -> Any:
    """A convolution with NHWC output, annotated for the kernel templates.

    Parameters
    ----------
    data, weight
        NHWC (NCHW if `nchw`), and HWIO.
    strides, padding, dilation, groups
        As in `relax.nn.conv2d`.
    out_shape
        NHWC.
    anchor
        The kernel family, `hetcomp.anchor`.
    accumulator
        Element type in which products are made and summed.
    nchw, pad_value
        Layout of `data`, and its value outside the map.
    """
    shape = [int(dim) for dim in data.shape]
    batch, height, width = (shape[0], *shape[2:]) if nchw else shape[:3]
    kernel_h, kernel_w, group_in, channels = (int(dim) for dim in weight.shape)
    top, left = padding[:2]
    kh = te.reduce_axis((0, kernel_h), name="kh")
    kw = te.reduce_axis((0, kernel_w), name="kw")
    ci = te.reduce_axis((0, group_in), name="ci")

    def element(n: Any, h: Any, w: Any, co: Any) -> Any:
        row = h * strides[0] + kh * dilation[0] - top
        column = w * strides[1] + kw * dilation[1] - left
        channel = ci
        if groups > 1:
            channel = tirx.floordiv(co, channels // groups) * group_in + ci
        inside = tirx.all(row >= 0, row < height, column >= 0, column < width)
        value = data[n, channel, row, column] if nchw else data[n, row, column, channel]
        pad = tirx.const(pad_value, accumulator)
        value = tirx.if_then_else(inside, value.astype(accumulator), pad)
        return te.sum(value * weight[kh, kw, ci, co].astype(accumulator), axis=[kh, kw, ci])

    window = [
        *(batch, height, width, out_shape[1], out_shape[2], kernel_h, kernel_w),
        *(*strides, *dilation, top, left, groups),
    ]
    attrs = {
        "hetcomp.anchor": anchor,
        "hetcomp.window": window,
        "hetcomp.nchw_input": int(nchw),
        "hetcomp.pad_value": pad_value,
    }
    return te.compute(tuple(out_shape), element, name="conv2d", attrs=attrs)


def batch_indices(operand: Any, batch: Sequence[Any]) -> list[Any]:
    """Indices into the leading axes of a product's `operand`, which may be missing or 1."""
    leading = [int(dim) for dim in operand.shape[:-2]]
    used = batch[len(batch) - len(leading) :]
    return [0 if dim == 1 else index for dim, index in zip(leading, used, strict=True)]
