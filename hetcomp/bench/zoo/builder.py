"""Layers on top of the graph: convolutions, linear layers, pooling, reshapes, normalisation.

Every layer that holds weights takes a name first; its nodes and weights carry that name. Weights
are scaled by their fan-in and a gain, so activations neither explode nor vanish with depth:
gain 2 for ReLU networks, 1 for plain outputs, less at the end of a residual branch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hetcomp.bench.zoo.activations import ACTIVATIONS
from hetcomp.bench.zoo.graph import GraphBuilder, Init, Tensor, WeightSource, ZooError

BIAS = Init(std=0.1)
SMALL_BIAS = Init(std=0.02)
NEAR_ONE = Init(mean=1.0, std=0.1)
# Networks of one activation keep their variance with the gain 1 / E[f(x)^2], x standard normal;
# 2 fits the ReLUs, the smooth ones shrink their input more (a little less than by the
# formula, as their outputs are not centred).
_RELU_GAIN = 2.0
_GAINS = {"silu": 2.6, "mish": 2.2, "hard_swish": 2.6}


def round_to_8(value: float) -> int:
    """Round to the nearest multiple of 8, at least 8."""
    return max(8, round(value / 8) * 8)


class NetBuilder(GraphBuilder):
    """A graph builder with neural-network layers.

    Parameters
    ----------
    name
        Name of the network.
    weights
        Where the values of parameters come from.
    width
        Factor on channel counts; 1 keeps the published ones.
    depth
        Factor on the number of repeated blocks; 1 keeps the published ones.
    """

    def __init__(
        self, name: str, weights: WeightSource, *, width: float = 1.0, depth: float = 1.0
    ) -> None:
        super().__init__(name, weights)
        self._width = width
        self._depth = depth

    def channels(self, count: int) -> int:
        """Scale a published channel count by the width."""
        if self._width == 1.0:
            return count
        return round_to_8(count * self._width)

    def repeats(self, count: int) -> int:
        """Scale a published number of blocks by the depth."""
        return max(1, round(count * self._depth))

    def activation(self, name: str, x: Tensor, kind: str | None) -> Tensor:
        """Apply the activation ``kind`` (a key of ``ACTIVATIONS``), or nothing."""
        if kind is None:
            return x
        return ACTIVATIONS[kind](self, name, x)

    def conv(
        self,
        name: str,
        x: Tensor,
        channels: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        dilation: int = 1,
        act: str | None = None,
        bias: bool = True,
        gain: float | None = None,
    ) -> Tensor:
        """Convolve NCHW ``x``; padding ``None`` keeps the size at stride 1 (odd kernels)."""
        if gain is None:
            gain = _GAINS.get(act or "", _RELU_GAIN)
        if padding is not None:
            self._require_window(x, kernel, padding)
        kernel_h, kernel_w = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        pad_h = (kernel_h - 1) // 2 * dilation if padding is None else padding
        pad_w = (kernel_w - 1) // 2 * dilation if padding is None else padding
        shape = (channels, x.shape[1] // groups, kernel_h, kernel_w)
        inputs = [x, self.parameter(f"{name}.weight", shape, _fan_in(math.prod(shape[1:]), gain))]
        if bias:
            inputs.append(self.parameter(f"{name}.bias", (channels,), BIAS))
        y = self.op(
            "Conv",
            *inputs,
            name=name,
            kernel_shape=[kernel_h, kernel_w],
            strides=[stride, stride],
            pads=[pad_h, pad_w, pad_h, pad_w],
            dilations=[dilation, dilation],
            group=groups,
        )
        return self.activation(name, y, act)

    def depthwise(
        self,
        name: str,
        x: Tensor,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        act: str | None = None,
    ) -> Tensor:
        """Convolve each channel by itself."""
        count = x.shape[1]
        return self.conv(
            name, x, count, kernel, stride=stride, dilation=dilation, groups=count, act=act
        )

    def batch_norm(self, name: str, x: Tensor) -> Tensor:
        """Normalise per channel with stored statistics (kept apart where they cannot fold)."""
        shape = (x.shape[1],)
        scale = self.parameter(f"{name}.weight", shape, NEAR_ONE)
        bias = self.parameter(f"{name}.bias", shape, BIAS)
        mean = self.parameter(f"{name}.running_mean", shape, BIAS)
        # Variances must be positive: 0.05 keeps them 20 deviations away from 0.
        variance = self.parameter(f"{name}.running_var", shape, Init(mean=1.0, std=0.05))
        return self.op("BatchNormalization", x, scale, bias, mean, variance, name=name)

    def gemm(self, name: str, x: Tensor, features: int, act: str | None = None) -> Tensor:
        """Apply a fully connected layer to the matrix ``x`` (``Gemm``, weight [out, in])."""
        fan_in = x.shape[1]
        weight = self.parameter(f"{name}.weight", (features, fan_in), _fan_in(fan_in, _RELU_GAIN))
        bias = self.parameter(f"{name}.bias", (features,), BIAS)
        y = self.op("Gemm", x, weight, bias, name=name, transB=1)
        return self.activation(name, y, act)

    def linear(
        self, name: str, x: Tensor, features: int, *, act: str | None = None, gain: float = 1.0
    ) -> Tensor:
        """Apply a fully connected layer to the last axis (``MatMul`` + ``Add``)."""
        fan_in = x.shape[-1]
        weight = self.parameter(f"{name}.weight", (fan_in, features), _fan_in(fan_in, gain))
        bias = self.parameter(f"{name}.bias", (features,), SMALL_BIAS)
        product = self.op("MatMul", x, weight, name=name)
        return self.activation(name, self.add(product, bias, name=f"{name}.add"), act)

    def layer_norm(self, name: str, x: Tensor, epsilon: float = 1e-5) -> Tensor:
        """Normalise the last axis."""
        shape = (x.shape[-1],)
        scale = self.parameter(f"{name}.weight", shape, NEAR_ONE)
        bias = self.parameter(f"{name}.bias", shape, SMALL_BIAS)
        return self.op("LayerNormalization", x, scale, bias, name=name, axis=-1, epsilon=epsilon)

    def embedding(self, name: str, ids: Tensor, rows: int, features: int, std: float) -> Tensor:
        """Look up one row of a table for each index."""
        table = self.parameter(f"{name}.weight", (rows, features), Init(std=std))
        return self.op("Gather", table, ids, name=name)

    def add(self, a: Tensor, b: Tensor, name: str = "add") -> Tensor:
        """Add with broadcasting."""
        return self.op("Add", a, b, name=name)

    def mul(self, a: Tensor, b: Tensor, name: str = "mul") -> Tensor:
        """Multiply with broadcasting."""
        return self.op("Mul", a, b, name=name)

    def concat(self, tensors: Sequence[Tensor], axis: int = 1, name: str = "concat") -> Tensor:
        """Join along one axis."""
        return self.op("Concat", *tensors, axis=axis, name=name)

    def split(
        self, x: Tensor, sizes: list[int], axis: int = 1, name: str = "split"
    ) -> list[Tensor]:
        """Cut along one axis into parts of the given sizes."""
        parts = self.integers(f"{name}.sizes", sizes)
        return self.op_with_outputs("Split", x, parts, count=len(sizes), axis=axis, name=name)

    def reshape(self, x: Tensor, shape: Sequence[int], name: str = "reshape") -> Tensor:
        """Reshape; one dimension may be -1."""
        return self.op("Reshape", x, self.integers(f"{name}.shape", list(shape)), name=name)

    def transpose(self, x: Tensor, order: Sequence[int], name: str = "transpose") -> Tensor:
        """Permute the axes."""
        return self.op("Transpose", x, perm=list(order), name=name)

    def max_pool(
        self, x: Tensor, kernel: int, stride: int, padding: int = 0, *, ceil: bool = False
    ) -> Tensor:
        """Take the maximum over square windows."""
        self._require_window(x, kernel, padding)
        return self.op(
            "MaxPool",
            x,
            name="max_pool",
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[padding] * 4,
            ceil_mode=int(ceil),
        )

    def average_pool(self, x: Tensor, kernel: int, stride: int, padding: int = 0) -> Tensor:
        """Average over square windows, padding included."""
        self._require_window(x, kernel, padding)
        return self.op(
            "AveragePool",
            x,
            name="average_pool",
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[padding] * 4,
            count_include_pad=1,
        )

    def global_pool(self, x: Tensor) -> Tensor:
        """Average over all positions, to [N, C, 1, 1]."""
        return self.op("GlobalAveragePool", x, name="global_pool")

    def flatten(self, x: Tensor) -> Tensor:
        """Join all axes but the first."""
        return self.op("Flatten", x, axis=1, name="flatten")

    def upsample(self, x: Tensor, factor: int = 2) -> Tensor:
        """Enlarge by repeating pixels."""
        scales = np.array([1, 1, factor, factor], dtype=np.float32)
        return self.op(
            "Resize",
            x,
            None,
            self.constant("upsample.scales", scales),
            name="upsample",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def resize_to(self, x: Tensor, height: int, width: int) -> Tensor:
        """Resize bilinearly to a given size."""
        sizes = self.integers("resize.sizes", [x.shape[0], x.shape[1], height, width])
        return self.op(
            "Resize",
            x,
            None,
            None,
            sizes,
            name="resize",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def squeeze_excite(self, x: Tensor, channels: int, *, act: str, gate: str) -> Tensor:
        """Scale each channel by a gate computed from the channels' means."""
        with self.scope("se"):
            squeezed = self.conv("reduce", self.global_pool(x), channels, act=act)
            factors = self.conv("expand", squeezed, x.shape[1], act=gate)
            return self.mul(x, factors)

    def classifier(self, x: Tensor, classes: int) -> None:
        """End with global pooling and a fully connected layer; the output is ``logits``."""
        self.output("logits", self.gemm("classifier", self.flatten(self.global_pool(x)), classes))

    def _require_window(self, x: Tensor, kernel: int | tuple[int, int], padding: int) -> None:
        # ONNX's shape inference lets a window through that is larger than its padded input.
        largest = max(kernel) if isinstance(kernel, tuple) else kernel
        height, width = x.shape[2:]
        if min(height, width) + 2 * padding < largest:
            raise ZooError(
                f"network {self.name!r}: a window of {largest} pixels does not fit a feature map "
                f"of {height} x {width} pixels; ask for a larger size"
            )


def _fan_in(fan_in: int, gain: float) -> Init:
    return Init(std=math.sqrt(gain / fan_in))
