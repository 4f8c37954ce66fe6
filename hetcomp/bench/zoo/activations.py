"""Activation functions in the form in which exporters write them."""

from __future__ import annotations

import math
from collections.abc import Callable

from hetcomp.bench.zoo.graph import GraphBuilder, Tensor

Activation = Callable[[GraphBuilder, str, Tensor], Tensor]


def _relu(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    return g.op("Relu", x, name=f"{name}.relu")


def _relu6(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    return g.op("Clip", x, g.scalar(0.0), g.scalar(6.0), name=f"{name}.relu6")


def _hard_swish(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    return g.op("HardSwish", x, name=f"{name}.hard_swish")


def _hard_sigmoid(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    return g.op("HardSigmoid", x, alpha=1 / 6, beta=0.5, name=f"{name}.hard_sigmoid")


def _leaky(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    return g.op("LeakyRelu", x, alpha=0.1, name=f"{name}.leaky")


def _leaky_steep(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    return g.op("LeakyRelu", x, alpha=0.2, name=f"{name}.leaky")


def _sigmoid(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    return g.op("Sigmoid", x, name=f"{name}.sigmoid")


def _silu(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    gate = g.op("Sigmoid", x, name=f"{name}.silu.sigmoid")
    return g.op("Mul", x, gate, name=f"{name}.silu")


def _mish(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    soft = g.op("Softplus", x, name=f"{name}.mish.softplus")
    gate = g.op("Tanh", soft, name=f"{name}.mish.tanh")
    return g.op("Mul", x, gate, name=f"{name}.mish")


def _gelu(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    with g.scope(f"{name}.gelu"):
        scaled = g.op("Div", x, g.scalar(math.sqrt(2)), name="div")
        erf = g.op("Erf", scaled, name="erf")
        shifted = g.op("Add", erf, g.scalar(1.0), name="add")
        product = g.op("Mul", x, shifted, name="mul")
        return g.op("Mul", product, g.scalar(0.5), name="half")


def _gelu_tanh(g: GraphBuilder, name: str, x: Tensor) -> Tensor:
    with g.scope(f"{name}.gelu"):
        cube = g.op("Pow", x, g.scalar(3.0), name="cube")
        cubic_term = g.op("Mul", cube, g.scalar(0.044715), name="cubic_term")
        inner = g.op("Add", x, cubic_term, name="inner")
        scaled = g.op("Mul", inner, g.scalar(math.sqrt(2 / math.pi)), name="scaled")
        tanh = g.op("Tanh", scaled, name="tanh")
        shifted = g.op("Add", tanh, g.scalar(1.0), name="add")
        half = g.op("Mul", x, g.scalar(0.5), name="half")
        return g.op("Mul", half, shifted, name="mul")


ACTIVATIONS: dict[str, Activation] = {
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "leaky": _leaky,
    "leaky_steep": _leaky_steep,
    "mish": _mish,
    "relu": _relu,
    "relu6": _relu6,
    "sigmoid": _sigmoid,
    "silu": _silu,
}
