"""Layers that move and combine elements: pooling, normalisation, element-wise, copies.

See `hetcomp.profile.layers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hetcomp.profile.activations import activate
from hetcomp.profile.weightless import Weightless
from hetcomp.profile.writer import GraphWriter

__all__ = ["Concat", "Elementwise", "LayerNorm", "Pool", "Resize", "Softmax", "Transpose"]

_MAX, _MEAN = range(2)


@dataclass(frozen=True)
class Pool(Weightless):
    """Pooling by maximum (0) or mean (1); kernel 0 is the mean of the whole image."""

    family: ClassVar[str] = "pool"
    height: int
    width: int
    channels: int
    kernel: int
    stride: int
    mode: int

    @property
    def flops(self) -> float:
        """One operation an element of a window."""
        elements = self.height * self.width * self.channels
        return float(elements * self.kernel**2) / self.stride**2 if self.kernel else elements

    @property
    def activations(self) -> int:
        """Input and output."""
        size = self.height * self.width * self.channels
        return size + (size // self.stride**2 if self.kernel else self.channels)

    def write(self, g: GraphWriter) -> None:
        """One pooling."""
        x = g.image(self.height, self.width, self.channels)
        if not self.kernel:
            g.image_output(g.op("GlobalAveragePool", x))
            return
        kind = "MaxPool" if self.mode == _MAX else "AveragePool"
        pads = [(self.kernel - 1) // 2] * 4
        size = [self.kernel, self.kernel]
        y = g.op(kind, x, kernel_shape=size, strides=[self.stride, self.stride], pads=pads)
        g.image_output(y)


@dataclass(frozen=True)
class Softmax(Weightless):
    """Softmax of every row."""

    family: ClassVar[str] = "softmax"
    rows: int
    columns: int

    @property
    def flops(self) -> float:
        """Some operations an element."""
        return 20.0 * self.rows * self.columns

    @property
    def activations(self) -> int:
        """Input and output."""
        return 2 * self.rows * self.columns

    def write(self, g: GraphWriter) -> None:
        """One softmax."""
        g.output(g.op("Softmax", g.input(1, self.rows, self.columns), axis=-1))


@dataclass(frozen=True)
class LayerNorm(Weightless):
    """Layer normalisation of every row, perhaps of a residual sum."""

    family: ClassVar[str] = "layer_norm"
    rows: int
    columns: int
    residual: int

    @property
    def flops(self) -> float:
        """Some operations an element."""
        return 8.0 * self.rows * self.columns

    @property
    def activations(self) -> int:
        """Inputs and output."""
        return (2 + self.residual) * self.rows * self.columns

    def write(self, g: GraphWriter) -> None:
        """Sum and normalisation."""
        x = g.input(1, self.rows, self.columns)
        if self.residual:
            x = g.op("Add", x, g.input(1, self.rows, self.columns))
        scale, bias = g.weight(self.columns), g.weight(self.columns)
        g.output(g.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-5))


@dataclass(frozen=True)
class Elementwise(Weightless):
    """A function of one image, of the sum of two, or of one scaled channel by channel."""

    family: ClassVar[str] = "elementwise"
    height: int
    width: int
    channels: int
    operands: int
    scaled: int
    activation: int

    @property
    def flops(self) -> float:
        """Some operations an element."""
        return float(self.height * self.width * self.channels * (self.operands + self.activation))

    @property
    def activations(self) -> int:
        """Inputs and output."""
        return self.height * self.width * self.channels * (1 + self.operands)

    def write(self, g: GraphWriter) -> None:
        """Sum, scaling, function."""
        x = g.image(self.height, self.width, self.channels)
        for _ in range(self.operands - 1):
            x = g.op("Add", x, g.image(self.height, self.width, self.channels))
        if self.scaled:
            x = g.op("Mul", x, g.image(1, 1, self.channels))
        g.image_output(activate(g, x, self.activation))


@dataclass(frozen=True)
class Concat(Weightless):
    """Two images joined along their channels, then one function, so that they are copied."""

    family: ClassVar[str] = "concat"
    height: int
    width: int
    first: int
    second: int

    @property
    def flops(self) -> float:
        """One operation an element."""
        return float(self.height * self.width * (self.first + self.second))

    @property
    def activations(self) -> int:
        """Inputs and output."""
        return 2 * self.height * self.width * (self.first + self.second)

    def write(self, g: GraphWriter) -> None:
        """One concatenation."""
        parts = [g.image(self.height, self.width, n) for n in (self.first, self.second)]
        g.image_output(g.op("Concat", *parts, axis=1))


@dataclass(frozen=True)
class Transpose(Weightless):
    """Rows and heads, or channels first: a copy in another order."""

    family: ClassVar[str] = "transpose"
    rows: int
    heads: int
    columns: int
    order: int

    @property
    def flops(self) -> float:
        """One operation an element."""
        return float(self.rows * self.heads * self.columns)

    @property
    def activations(self) -> int:
        """Input and output."""
        return 2 * self.rows * self.heads * self.columns

    def write(self, g: GraphWriter) -> None:
        """One transpose."""
        orders = (0, 2, 1, 3), (0, 2, 3, 1), (0, 1, 3, 2)
        x = g.input(1, self.rows, self.heads, self.columns)
        g.output(g.op("Transpose", x, perm=orders[self.order]))


@dataclass(frozen=True)
class Resize(Weightless):
    """An image enlarged by an integer, by the nearest pixel (0) or bilinearly (1)."""

    family: ClassVar[str] = "resize"
    height: int
    width: int
    channels: int
    factor: int
    mode: int

    @property
    def flops(self) -> float:
        """Some operations an element of the output."""
        elements = self.height * self.width * self.channels * self.factor**2
        return elements * (8.0 if self.mode else 1.0)

    @property
    def activations(self) -> int:
        """Input and output."""
        return self.height * self.width * self.channels * (1 + self.factor**2)

    def write(self, g: GraphWriter) -> None:
        """One resize."""
        x = g.image(self.height, self.width, self.channels)
        scales = g.floats(1.0, 1.0, float(self.factor), float(self.factor))
        mode, rounding = ("linear", "round_prefer_floor") if self.mode else ("nearest", "floor")
        y = g.op("Resize", x, "", scales, mode=mode, nearest_mode=rounding,
                 coordinate_transformation_mode="asymmetric")  # fmt: skip
        g.image_output(y)
