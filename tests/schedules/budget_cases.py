"""Kernels with a budget of instructions: one or two layers of each family, small enough to emulate.

Channels and widths are multiples of a vector, as in most networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from kernel_harness import make_model, normal

from hetcomp.schedules.half import BF16, F16, HalfFormat

__all__ = ["CASES", "BudgetCase"]


@dataclass(frozen=True)
class BudgetCase:
    """A layer, and the kind of the kernel in it that counts.

    Attributes
    ----------
    algorithm
        Of the kernel, where there are several; empty for what is chosen.
    half
        Format of 16 bits in memory.
    """

    kind: str
    text: str
    weights: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str = ""
    half: HalfFormat | None = None

    @property
    def model(self) -> onnx.ModelProto:
        """The layer as a model."""
        return make_model(self.text, self.weights)


def _conv(attributes: str, out: str, weight: tuple[int, ...], algorithm: str = "") -> BudgetCase:
    channels = weight[1] * int(attributes.partition("group=")[2].partition(",")[0] or 1)
    kind = "depthwise" if weight[1] == 1 else "conv2d"
    text = (
        f"g (float[1,{channels},16,16] v) => (float[1,{weight[0]},{out}] y) "
        f"{{ x = Relu(v) c = Conv<{attributes}>(x, w) y = Relu(c) }}"
    )
    return BudgetCase(kind, text, {"w": normal(*weight)}, algorithm)


def _unary(
    kind: str, nodes: str, shape: str = "64,48", out: str = "", **constants: float
) -> BudgetCase:
    text = f"g (float[{shape}] x) => (float[{out or shape}] y) {{ {nodes} }}"
    return BudgetCase(kind, text, {name: np.float32(v) for name, v in constants.items()})


_QUANTIZED = "e = DequantizeLinear(w, t) d = DequantizeLinear(x, s, z)"
_SCALES = {"s": np.float32(0.02), "z": np.uint8(128), "t": np.float32(0.01)}


def _bytes(kind: str, node: str, shape: str, out: str, weight: tuple[int, ...]) -> BudgetCase:
    numbers = np.random.default_rng(0).integers(-128, 127, weight).astype(np.int8)
    text = (
        f"g (uint8[{shape}] x) => (uint8[{out}] y) "
        f"{{ {_QUANTIZED} c = {node} y = QuantizeLinear(c, s, z) }}"
    )
    return BudgetCase(kind, text, {"w": numbers, **_SCALES})


_HALF_GEMM = (
    "g (float[64,128] v) => (float[64] y) "
    "{ x = Neg(v) c = MatMul(x, w) y = ReduceMax<axes=[-1], keepdims=0>(c) }"
)

CASES: Mapping[str, BudgetCase] = {
    "gemm": BudgetCase(
        "linear",
        "g (float[64,128] x) => (float[64,64] y) { y = MatMul(x, w) }",
        {"w": normal(128, 64)},
    ),
    "gemm, one row": BudgetCase(
        "linear",
        "g (float[1,128] x) => (float[1,64] y) { y = MatMul(x, w) }",
        {"w": normal(128, 64)},
    ),
    "conv 3x3": _conv("pads=[1,1,1,1]", "16,16", (32, 32, 3, 3), "direct"),
    "conv 3x3, Winograd": _conv("pads=[1,1,1,1]", "16,16", (32, 32, 3, 3), "winograd 4x4"),
    "conv 3x3, stride 2": _conv("pads=[1,1,1,1],strides=[2,2]", "8,8", (32, 32, 3, 3)),
    "conv 1x1": _conv("pads=[0,0,0,0]", "16,16", (32, 32, 1, 1)),
    "conv 7x7 of an image": BudgetCase(
        "conv2d",
        "g (float[1,3,32,32] x) => (float[1,32,16,16] y) "
        "{ y = Conv<pads=[3,3,3,3],strides=[2,2]>(x, w) }",
        {"w": normal(32, 3, 7, 7)},
    ),
    "depthwise 3x3": _conv("pads=[1,1,1,1],group=32", "16,16", (32, 1, 3, 3)),
    "depthwise 3x3, stride 2": _conv("pads=[1,1,1,1],strides=[2,2],group=32", "8,8", (32, 1, 3, 3)),
    "matmul": BudgetCase(
        "matmul",
        "g (float[2,32,32] u, float[2,32,32] v) => (float[2,32,32] y) { y = MatMul(u, v) }",
    ),
    "softmax": _unary("rowwise", "y = Softmax<axis=-1>(x)"),
    "layer norm": BudgetCase(
        "rowwise",
        "g (float[64,48] x) => (float[64,48] y) { y = LayerNormalization(x, w, b) }",
        {"w": normal(48), "b": normal(48, seed=1)},
    ),
    "mean": _unary("rowwise", "y = ReduceMean<axes=[-1], keepdims=0>(x)", out="64"),
    "maximum pool": _unary(
        "rowwise", "v = Relu(x) y = MaxPool<kernel_shape=[3,3],strides=[2,2]>(v)",
        "1,32,17,17", "1,32,8,8",
    ),
    "gelu": _unary(
        "elementwise", "a = Div(x, r) e = Erf(a) p = Add(e, o) m = Mul(x, p) y = Mul(m, h)",
        r=2**0.5, o=1.0, h=0.5,
    ),
    "sigmoid": _unary("elementwise", "y = Sigmoid(x)"),
    "tanh": _unary("elementwise", "y = Tanh(x)"),
    "hard swish": _unary("elementwise", "y = HardSwish(x)"),
    "int8 gemm": _bytes("linear", "MatMul(d, e)", "64,128", "64,64", (128, 64)),
    "int8 conv 3x3": _bytes(
        "conv2d", "Conv<pads=[1,1,1,1]>(d, e)", "1,32,16,16", "1,32,16,16", (32, 32, 3, 3)
    ),
    "int8 depthwise 3x3": _bytes(
        "depthwise", "Conv<pads=[1,1,1,1],group=32>(d, e)", "1,32,16,16", "1,32,16,16",
        (32, 1, 3, 3),
    ),
    "f16 gemm": BudgetCase("linear", _HALF_GEMM, {"w": normal(128, 64)}, half=F16),
    "bf16 gemm": BudgetCase("linear", _HALF_GEMM, {"w": normal(128, 64)}, half=BF16),
}  # fmt: skip
