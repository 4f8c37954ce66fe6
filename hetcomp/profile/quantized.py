"""Layers in QDQ form, which are computed on their integers. See `hetcomp.profile.layers`.

As ONNX Runtime's quantiser writes them: activations uint8, weights int8 by output channel, biases
int32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hetcomp.profile.products import Conv2d, Depthwise, Linear, convolve
from hetcomp.profile.weightless import Weightless
from hetcomp.profile.writer import GraphWriter

__all__ = ["QuantizedAdd", "QuantizedConv2d", "QuantizedDepthwise", "QuantizedLinear"]

_SCALE, _WEIGHT_SCALE = 0.05, 0.001
_ZERO = 128


@dataclass(frozen=True)
class QuantizedConv2d(Conv2d):
    """A convolution on integers; an activation is a ReLU, which the quantisation does."""

    family: ClassVar[str] = "conv2d_int8"

    def write(self, g: GraphWriter) -> None:
        """Convolution, and the sum where there is one."""
        x = _floats(g, g.image(self.height, self.width, self.c_in, np.uint8))
        shape = self.c_out, self.c_in, self.kernel, self.kernel
        w, bias = _weight(g, shape, axis=0), _bias(g, self.c_out)
        y = convolve(g, x, w, bias, self.kernel, self.stride, 1)
        if self.residual:
            height, width = (math.ceil(n / self.stride) for n in (self.height, self.width))
            other = _floats(g, g.image(height, width, self.c_out, np.uint8))
            y = g.op("Add", _floats(g, _bytes(g, y)), other)
        g.image_output(_bytes(g, y))


@dataclass(frozen=True)
class QuantizedDepthwise(Depthwise):
    """A depthwise convolution on integers."""

    family: ClassVar[str] = "depthwise_int8"

    def write(self, g: GraphWriter) -> None:
        """One convolution."""
        x = _floats(g, g.image(self.height, self.width, self.channels, np.uint8))
        w = _weight(g, (self.channels, 1, self.kernel, self.kernel), axis=0)
        bias = _bias(g, self.channels)
        g.image_output(_bytes(g, convolve(g, x, w, bias, self.kernel, self.stride, self.channels)))


@dataclass(frozen=True)
class QuantizedLinear(Linear):
    """Rows times a constant matrix on integers."""

    family: ClassVar[str] = "linear_int8"

    def write(self, g: GraphWriter) -> None:
        """Product and bias."""
        x = _floats(g, g.input(1, self.rows, self.depth, dtype=np.uint8))
        y = g.op("MatMul", x, _weight(g, (self.depth, self.columns), axis=1))
        y = g.op("Add", _floats(g, _bytes(g, y)), g.weight(self.columns))
        g.output(_bytes(g, y) if self.activation else y)


@dataclass(frozen=True)
class QuantizedAdd(Weightless):
    """The sum of two images of bytes."""

    family: ClassVar[str] = "add_int8"
    height: int
    width: int
    channels: int

    @property
    def flops(self) -> float:
        """Some operations an element."""
        return 8.0 * self.height * self.width * self.channels

    @property
    def activations(self) -> int:
        """Inputs and output."""
        return 3 * self.height * self.width * self.channels

    def write(self, g: GraphWriter) -> None:
        """One sum."""
        shape = self.height, self.width, self.channels
        one, other = (_floats(g, g.image(*shape, np.uint8)) for _ in range(2))
        g.image_output(_bytes(g, g.op("Add", one, other)))


def _floats(g: GraphWriter, x: str) -> str:
    """Bytes as the floats that they stand for."""
    return g.op("DequantizeLinear", x, g.scalar(_SCALE), g.constant(np.array(_ZERO, np.uint8)))


def _bytes(g: GraphWriter, x: str) -> str:
    """Floats as bytes."""
    return g.op("QuantizeLinear", x, g.scalar(_SCALE), g.constant(np.array(_ZERO, np.uint8)))


def _weight(g: GraphWriter, shape: tuple[int, ...], axis: int) -> str:
    """Bytes as the weights that they stand for, with a scale for each output channel."""
    channels = shape[axis]
    values = np.arange(math.prod(shape), dtype=np.int64) * 37 % 255 - 127
    scales = g.constant(np.full(channels, _WEIGHT_SCALE, np.float32))
    zeros = g.constant(np.zeros(channels, np.int8))
    stored = g.constant(values.astype(np.int8).reshape(shape))
    return g.op("DequantizeLinear", stored, scales, zeros, axis=axis)


def _bias(g: GraphWriter, channels: int) -> str:
    """A bias in units of the products' scales."""
    scales = g.constant(np.full(channels, _SCALE * _WEIGHT_SCALE, np.float32))
    zeros = g.constant(np.zeros(channels, np.int32))
    stored = g.constant(np.arange(channels, dtype=np.int32))
    return g.op("DequantizeLinear", stored, scales, zeros, axis=0)
