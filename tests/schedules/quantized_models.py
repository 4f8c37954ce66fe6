"""Small models in QDQ form, and what they compute in NumPy's integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from kernel_harness import Array, make_model


@dataclass(frozen=True)
class Grid:
    """Parameters of one quantised tensor; a scale may be one per channel."""

    scale: Array
    zero_point: Array | None
    dtype: str = "uint8"

    @property
    def limits(self) -> Any:
        return np.iinfo(self.dtype)

    @property
    def points(self) -> Array:
        """The zero point, 0 where the model leaves it out."""
        return (
            np.zeros((), np.int64) if self.zero_point is None else self.zero_point.astype(np.int64)
        )

    def arguments(self, name: str) -> str:
        """The operator's arguments behind the tensor."""
        return f"{name}_s" if self.zero_point is None else f"{name}_s, {name}_z"

    def weights(self, name: str) -> dict[str, Array]:
        found = {f"{name}_s": self.scale.astype(np.float32)}
        if self.zero_point is not None:
            found[f"{name}_z"] = self.zero_point.astype(self.dtype)
        return found


@dataclass(frozen=True)
class QuantizedLayer:
    """`quantize(tail(op(dequantize(x), dequantize(w)) + bias))` with everything it needs."""

    x: Array
    w: Array
    x_grid: Grid
    w_grid: Grid
    y_grid: Grid
    bias: Array | None = None
    relu: bool = False
    strides: Sequence[int] = (1, 1)
    pads: Sequence[int] = (0, 0, 0, 0)
    dilations: Sequence[int] = (1, 1)
    groups: int = 1
    extra: dict[str, Array] = field(default_factory=dict)

    @property
    def is_conv(self) -> bool:
        return self.w.ndim == 4

    @property
    def multiplier(self) -> Array:
        """Scales of the product, float32 like ONNX Runtime's."""
        scale = np.float32(self.x_grid.scale) * self.w_grid.scale.astype(np.float32)
        return np.asarray(scale, np.float32)

    def accumulators(self) -> Array:
        """Exact sums, channels last; padding is the zero point and contributes nothing."""
        x = self.x.astype(np.int64) - self.x_grid.points
        w_axis = 0 if self.is_conv else -1
        w = self.w.astype(np.int64) - _along(self.w_grid.points, w_axis, self.w.ndim)
        total = self._convolved(x, w) if self.is_conv else x @ w
        return total if self.bias is None else total + self.bias

    def _convolved(self, x: Array, w: Array) -> Array:
        top, left, bottom, right = self.pads
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        out_channels, group_in, kernel_h, kernel_w = w.shape
        (sh, sw), (dh, dw) = self.strides, self.dilations
        height = (x.shape[2] - (kernel_h - 1) * dh - 1) // sh + 1
        width = (x.shape[3] - (kernel_w - 1) * dw - 1) // sw + 1
        total = np.zeros((x.shape[0], height, width, out_channels), np.int64)
        group_out = out_channels // self.groups
        for kh in range(kernel_h):
            for kw in range(kernel_w):
                rows = slice(kh * dh, kh * dh + (height - 1) * sh + 1, sh)
                columns = slice(kw * dw, kw * dw + (width - 1) * sw + 1, sw)
                for g in range(self.groups):
                    part = x[:, g * group_in : (g + 1) * group_in, rows, columns]
                    filters = w[g * group_out : (g + 1) * group_out, :, kh, kw]
                    total[..., g * group_out : (g + 1) * group_out] += np.einsum(
                        "nchw,oc->nhwo", part, filters
                    )
        return total

    def oracle(self) -> Array:
        """The output: one multiplication, rounding half to even, saturation."""
        factor = (self.multiplier / np.float32(self.y_grid.scale)).astype(np.float32)
        sums = self.accumulators()
        if self.relu:
            sums = np.maximum(sums, 0)
        scaled = sums.astype(np.int32).astype(np.float32) * factor
        moved = np.rint(scaled) + self.y_grid.points
        limited = np.clip(moved, self.y_grid.limits.min, self.y_grid.limits.max)
        result = limited.astype(self.y_grid.dtype)
        return np.ascontiguousarray(result.transpose(0, 3, 1, 2)) if self.is_conv else result

    def model(self) -> onnx.ModelProto:
        """The layer between quantised input and output."""
        dims = ",".join(map(str, self.x.shape))
        out = ",".join(map(str, self.oracle().shape))
        axis = "axis=0" if self.is_conv else f"axis={self.w.ndim - 1}"
        nodes = [
            f"xd = DequantizeLinear(x, {self.x_grid.arguments('x')})",
            f"wd = DequantizeLinear<{axis}>(w, {self.w_grid.arguments('w')})",
        ]
        weights = {"w": self.w, **self.x_grid.weights("x"), **self.w_grid.weights("w")}
        weights |= self.y_grid.weights("y")
        bias = ""
        if self.bias is not None:
            weights |= {"b": self.bias.astype(np.int32), "b_s": self.multiplier}
            nodes.append("bd = DequantizeLinear<axis=0>(b, b_s)")
            bias = ", bd"
        nodes.append(f"p = {self._operator(bias)}")
        nodes.append("a = Relu(p)" if self.relu else "a = Identity(p)")
        nodes.append(f"y = QuantizeLinear(a, {self.y_grid.arguments('y')})")
        text = f"g ({self.x_grid.dtype}[{dims}] x) => ({self.y_grid.dtype}[{out}] y)"
        return make_model(f"{text} {{ {' '.join(nodes)} }}", weights)

    def _operator(self, bias: str) -> str:
        if not self.is_conv:
            return f"Gemm(xd, wd{bias})" if bias else "MatMul(xd, wd)"
        attributes = (
            f"pads=[{_dims(self.pads)}], strides=[{_dims(self.strides)}], "
            f"dilations=[{_dims(self.dilations)}], group={self.groups}"
        )
        return f"Conv<{attributes}>(xd, wd{bias})"


def _dims(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


def _along(array: Array, axis: int, rank: int) -> Array:
    if array.ndim == 0:
        return array
    shape = [1] * rank
    shape[axis] = -1
    return array.reshape(shape)
