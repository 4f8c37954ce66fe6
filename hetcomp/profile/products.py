"""Layers that multiply: convolutions, products, attention. See `hetcomp.profile.layers`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from hetcomp.profile.activations import activate
from hetcomp.profile.weightless import Weightless
from hetcomp.profile.writer import GraphWriter

__all__ = ["Attention", "Conv2d", "Depthwise", "Grouped", "Linear", "MatMul", "convolve"]


@dataclass(frozen=True)
class Conv2d:
    """A convolution with its bias, an activation (0: none) and perhaps a residual sum."""

    family: ClassVar[str] = "conv2d"
    height: int
    width: int
    c_in: int
    c_out: int
    kernel: int
    stride: int
    activation: int
    residual: int

    @property
    def out_pixels(self) -> int:
        """Pixels of the output."""
        return math.ceil(self.height / self.stride) * math.ceil(self.width / self.stride)

    @property
    def flops(self) -> float:
        """Multiply-adds, twice."""
        return 2.0 * self.out_pixels * self.kernel**2 * self.c_in * self.c_out

    @property
    def activations(self) -> int:
        """Input, output, residual input."""
        outputs = self.out_pixels * self.c_out
        return self.height * self.width * self.c_in + outputs * (1 + self.residual)

    @property
    def weights(self) -> int:
        """The filters."""
        return self.kernel**2 * self.c_in * self.c_out

    def write(self, g: GraphWriter) -> None:
        """Convolution, sum, activation."""
        x = g.image(self.height, self.width, self.c_in)
        w = g.weight(self.c_out, self.c_in, self.kernel, self.kernel)
        y = convolve(g, x, w, g.weight(self.c_out), self.kernel, self.stride, 1)
        if self.residual:
            height, width = (math.ceil(n / self.stride) for n in (self.height, self.width))
            y = g.op("Add", y, g.image(height, width, self.c_out))
        g.image_output(activate(g, y, self.activation))


@dataclass(frozen=True)
class Grouped(Weightless):
    """A convolution in groups of channels, with bias and activation."""

    family: ClassVar[str] = "grouped"
    height: int
    width: int
    groups: int
    group_in: int
    group_out: int
    kernel: int
    stride: int
    activation: int

    @property
    def out_pixels(self) -> int:
        """Pixels of the output."""
        return math.ceil(self.height / self.stride) * math.ceil(self.width / self.stride)

    @property
    def flops(self) -> float:
        """Multiply-adds, twice."""
        return 2.0 * self.out_pixels * self.kernel**2 * self.groups * self.group_in * self.group_out

    @property
    def activations(self) -> int:
        """Input and output."""
        inputs = self.height * self.width * self.group_in
        return self.groups * (inputs + self.out_pixels * self.group_out)

    def write(self, g: GraphWriter) -> None:
        """Convolution and activation."""
        x = g.image(self.height, self.width, self.groups * self.group_in)
        c_out = self.groups * self.group_out
        w = g.weight(c_out, self.group_in, self.kernel, self.kernel)
        y = convolve(g, x, w, g.weight(c_out), self.kernel, self.stride, self.groups)
        g.image_output(activate(g, y, self.activation))


@dataclass(frozen=True)
class Depthwise:
    """A depthwise convolution with bias and activation."""

    family: ClassVar[str] = "depthwise"
    height: int
    width: int
    channels: int
    kernel: int
    stride: int
    activation: int

    @property
    def flops(self) -> float:
        """Multiply-adds, twice."""
        pixels = math.ceil(self.height / self.stride) * math.ceil(self.width / self.stride)
        return 2.0 * pixels * self.kernel**2 * self.channels

    @property
    def activations(self) -> int:
        """Input and output."""
        return self.height * self.width * self.channels * (1 + self.stride**2) // self.stride**2

    @property
    def weights(self) -> int:
        """The filters."""
        return self.kernel**2 * self.channels

    def write(self, g: GraphWriter) -> None:
        """Convolution and activation."""
        x = g.image(self.height, self.width, self.channels)
        w = g.weight(self.channels, 1, self.kernel, self.kernel)
        bias = g.weight(self.channels)
        y = convolve(g, x, w, bias, self.kernel, self.stride, self.channels)
        g.image_output(activate(g, y, self.activation))


@dataclass(frozen=True)
class Linear:
    """Rows times a constant matrix, with bias and activation."""

    family: ClassVar[str] = "linear"
    rows: int
    depth: int
    columns: int
    activation: int

    @property
    def flops(self) -> float:
        """Multiply-adds, twice."""
        return 2.0 * self.rows * self.depth * self.columns

    @property
    def activations(self) -> int:
        """Input and output."""
        return self.rows * (self.depth + self.columns)

    @property
    def weights(self) -> int:
        """The matrix."""
        return self.depth * self.columns

    def write(self, g: GraphWriter) -> None:
        """Product, bias, activation."""
        x = g.input(1, self.rows, self.depth)
        y = g.op("MatMul", x, g.weight(self.depth, self.columns))
        g.output(activate(g, g.op("Add", y, g.weight(self.columns)), self.activation))


@dataclass(frozen=True)
class MatMul(Weightless):
    """Independent products of two activations, as in attention that is not fused."""

    family: ClassVar[str] = "matmul"
    batch: int
    rows: int
    depth: int
    columns: int

    @property
    def flops(self) -> float:
        """Multiply-adds, twice."""
        return 2.0 * self.batch * self.rows * self.depth * self.columns

    @property
    def activations(self) -> int:
        """All three operands."""
        sizes = self.rows * self.depth, self.depth * self.columns, self.rows * self.columns
        return self.batch * sum(sizes)

    def write(self, g: GraphWriter) -> None:
        """One product."""
        a = g.input(1, self.batch, self.rows, self.depth)
        b = g.input(1, self.batch, self.depth, self.columns)
        g.output(g.op("MatMul", a, b))


@dataclass(frozen=True)
class Attention(Weightless):
    """Scaled scores, perhaps masked, softmax, and the mix of values."""

    family: ClassVar[str] = "attention"
    heads: int
    tokens: int
    features: int
    mask: int

    @property
    def flops(self) -> float:
        """Multiply-adds of both products, twice."""
        return 4.0 * self.heads * self.tokens**2 * self.features

    @property
    def activations(self) -> int:
        """Queries, keys, values, result."""
        return 4 * self.heads * self.tokens * self.features

    def write(self, g: GraphWriter) -> None:
        """As exporters write it."""
        shape = (1, self.tokens, self.heads, self.features)
        query = g.op("Transpose", g.input(*shape), perm=(0, 2, 1, 3))
        key = g.input(1, self.heads, self.features, self.tokens)
        value = g.op("Transpose", g.input(*shape), perm=(0, 2, 1, 3))
        scale = g.scalar(1.0 / math.sqrt(self.features))
        scores = g.op("Mul", g.op("MatMul", query, key), scale)
        if self.mask:
            scores = g.op("Add", scores, g.input(1, 1, 1, self.tokens))
        mixed = g.op("MatMul", g.op("Softmax", scores, axis=-1), value)
        g.output(g.op("Transpose", mixed, perm=(0, 2, 1, 3)))


def convolve(
    g: GraphWriter, x: str, w: str, bias: str, kernel: int, stride: int, groups: int
) -> str:
    """A convolution whose output is as large as its input, but for the stride."""
    pads = [(kernel - 1) // 2, (kernel - 1) // 2, kernel // 2, kernel // 2]
    return g.op("Conv", x, w, bias, kernel_shape=[kernel, kernel], strides=[stride, stride],
                pads=pads, group=groups)  # fmt: skip
