"""The activations of a convolution as the left operand of a product, for OpenCL class `gpu`."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from tvm import tirx

from ..blocks.arithmetic import Arithmetic
from ..blocks.window import Window
from ..expression import unravel
from .frame import GroupFrame
from .product import Left
from .tile import Element

__all__ = ["inside_map", "window_left"]

Index = Callable[[Any, Any, Any, Any], Any]
"""From image, row, column and channel to the step in the activations."""


def window_left(window: Window, group_in: int, index: Index, arithmetic: Arithmetic) -> Left:
    """Rows are output pixels, the sum runs over `[kh][kw][group_in]`."""

    def load(frame: GroupFrame, x: Any, group: Any, row: Any, k: Any) -> Element:
        w = window
        image, out_row, out_column = unravel(row, (w.batch, w.out_height, w.out_width))
        kh, kw, channel = unravel(k, (w.kernel_h, w.kernel_w, group_in))
        in_row = frame.bind("h", out_row * w.stride_h - w.pad_top + kh * w.dilation_h)
        column = frame.bind("w", out_column * w.stride_w - w.pad_left + kw * w.dilation_w)
        first = group * group_in + channel
        return Element(
            lambda lane: arithmetic.left(
                frame.facts, x, index(image, in_row, column, first + lane)
            ),
            inside_map(window, in_row, column),
        )

    return load


def inside_map(window: Window, row: Any, column: Any) -> Any:
    """Whether input pixel (`row`, `column`) is on the map; None where every window is."""
    w = window
    last_row = (w.out_height - 1) * w.stride_h - w.pad_top + (w.kernel_h - 1) * w.dilation_h
    last_column = (w.out_width - 1) * w.stride_w - w.pad_left + (w.kernel_w - 1) * w.dilation_w
    conditions = []
    if w.pad_top:
        conditions.append(row >= 0)
    if last_row >= w.height:
        conditions.append(row < w.height)
    if w.pad_left:
        conditions.append(column >= 0)
    if last_column >= w.width:
        conditions.append(column < w.width)
    return reduce(tirx.And, conditions) if conditions else None
