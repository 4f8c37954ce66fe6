"""What a region program says in terms of quantised layers, which is how Qualcomm's tools see it.

Bytes have names: `t12` is tensor 12 of the task graph, `q7.14` what value 14 of task 7 makes and
nobody else reads. A layer makes one of them of others; each stands for numbers on a grid (scale
and zero point) that `hetcomp.npu.htp.grids` finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "Clip",
    "Float",
    "Layer",
    "Linear",
    "MaxPool",
    "Requantise",
    "Term",
    "Window",
    "WindowLayer",
    "sources_of",
    "tensor_name",
]

Array = np.ndarray[Any, Any]


def tensor_name(index: int) -> str:
    """Name of a tensor of the task graph."""
    return f"t{index}"


@dataclass(frozen=True)
class Window:
    """How a convolution or a pooling goes over its map, in the terms of ONNX."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]


@dataclass(frozen=True)
class WindowLayer:
    """A convolution: bytes of `factor * (sum of products + bias) + zero_point`.

    Attributes
    ----------
    name, source
        Bytes that it makes, and reads.
    weights
        Signed bytes, `[out channels, in channels per group, height, width]`.
    bias
        Added to the sum of products of bytes less `source_zero`.
    factor
        Scale of the sum over that of the output: one number, or one a channel.
    zero_point, source_zero
        Zero points of output and input.
    """

    name: str
    source: str
    weights: Array
    bias: Array
    factor: Array
    zero_point: int
    source_zero: int
    window: Window
    groups: int


@dataclass(frozen=True)
class Linear:
    """A product with constant weights: as `WindowLayer`, but for what 0 stands for in the input.

    `weights` are `[depth, columns]`. `bias` is added to the sum of products of the bytes
    themselves, whatever their zero point.
    """

    name: str
    source: str
    weights: Array
    bias: Array
    factor: Array
    zero_point: int


@dataclass(frozen=True)
class Term:
    """Bytes times a number."""

    source: str
    factor: float


@dataclass(frozen=True)
class Requantise:
    """Bytes of the rounded sum of one or two terms and `offset`, saturated.

    `zero_point` is the output's where it is known.
    """

    name: str
    terms: tuple[Term, ...]
    offset: float
    zero_point: int | None


@dataclass(frozen=True)
class Clip:
    """Bytes within limits, on the grid of the source."""

    name: str
    source: str
    low: int
    high: int


@dataclass(frozen=True)
class MaxPool:
    """The largest byte of each window, on the grid of the source."""

    name: str
    source: str
    window: Window


@dataclass(frozen=True)
class Float:
    """Floats of bytes: `scale * source + offset`.

    These are the numbers that the bytes stand for where others than this driver read them. Within
    a region they may be half of a sum, see `hetcomp.npu.htp.program`.
    """

    name: str
    source: str
    scale: float
    offset: float

    @property
    def zero_point(self) -> int:
        """The byte that stands for 0."""
        return round(-self.offset / self.scale)


Layer = WindowLayer | Linear | Requantise | Clip | MaxPool | Float


def sources_of(layer: Layer) -> tuple[str, ...]:
    """Bytes that a layer reads."""
    if isinstance(layer, Requantise):
        return tuple(term.source for term in layer.terms)
    return (layer.source,)
