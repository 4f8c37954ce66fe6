"""Tails of convolutions and products: fused into the anchor's task, and right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_harness import MATRIX, check, make_model, normal

CONV_TAILS = {
    "bias": "y = Conv<pads=[1,1,1,1]>(x, w, b)",
    "relu": "c = Conv<pads=[1,1,1,1]>(x, w, b) y = Relu(c)",
    "clip": "c = Conv<pads=[1,1,1,1]>(x, w, b) y = Clip(c, zero, six)",
    "leaky relu": "c = Conv<pads=[1,1,1,1]>(x, w, b) y = LeakyRelu(c)",
    "prelu": "c = Conv<pads=[1,1,1,1]>(x, w, b) y = PRelu(c, slope)",
    "sigmoid": "c = Conv<pads=[1,1,1,1]>(x, w, b) y = Sigmoid(c)",
    "tanh": "c = Conv<pads=[1,1,1,1]>(x, w, b) y = Tanh(c)",
    "silu": "c = Conv<pads=[1,1,1,1]>(x, w, b) s = Sigmoid(c) y = Mul(c, s)",
    "hard swish": "c = Conv<pads=[1,1,1,1]>(x, w, b) y = HardSwish(c)",
    "batch norm": "c = Conv<pads=[1,1,1,1]>(x, w) y = BatchNormalization(c, sc, b, me, va)",
    "channel vector": "c = Conv<pads=[1,1,1,1]>(x, w) y = Add(c, vector)",
    "channel scale": "c = Conv<pads=[1,1,1,1]>(x, w) y = Mul(vector, c)",
    "scalar": "c = Conv<pads=[1,1,1,1]>(x, w) y = Sub(c, six)",
    "residual": "a = Conv<pads=[1,1,1,1]>(x, w, b) c = Conv<pads=[1,1,1,1]>(a, w) y = Add(c, a)",
    "residual, relu": (
        "a = Conv<pads=[1,1,1,1]>(x, w, b) c = Conv<pads=[1,1,1,1]>(a, w, b) d = Add(a, c) "
        "y = Relu(d)"
    ),
}
VALUES: dict[str, Any] = {
    "w": normal(24, 24, 3, 3) / np.float32(15),
    "b": normal(24),
    "zero": np.float32(0),
    "six": np.float32(6),
    "slope": normal(24, 1, 1),
    "vector": normal(1, 24, 1, 1),
    "sc": normal(24, seed=1),
    "me": normal(24, seed=2),
    "va": np.abs(normal(24, seed=3)) + np.float32(0.1),
}


def used(nodes: str) -> dict[str, Any]:
    words = set("".join(c if c.isalnum() else " " for c in nodes).split())
    return {name: value for name, value in VALUES.items() if name in words}


def expected(nodes: str, kind: str) -> list[str]:
    """One task per convolution, between the changes of layout."""
    return ["elementwise", *[kind] * nodes.count("Conv<"), "elementwise"]


@pytest.mark.parametrize("name", CONV_TAILS)
@pytest.mark.parametrize("width", [13, 16])
def test_behind_a_convolution(name: str, width: int) -> None:
    nodes = CONV_TAILS[name]
    shape = f"float[1,24,7,{width}]"
    lowered = check(make_model(f"g ({shape} x) => ({shape} y) {{ {nodes} }}", used(nodes)), MATRIX)
    assert [task.kind for task in lowered.graph.tasks] == expected(nodes, "conv2d")


@pytest.mark.parametrize("name", ["relu", "silu", "residual, relu", "prelu"])
def test_behind_a_depthwise_convolution(name: str) -> None:
    nodes = CONV_TAILS[name].replace("pads", "group=24, pads")
    shape = "float[1,24,7,13]"
    weights = {**used(nodes), "w": normal(24, 1, 3, 3) / np.float32(3)}
    lowered = check(make_model(f"g ({shape} x) => ({shape} y) {{ {nodes} }}", weights), MATRIX)
    assert [task.kind for task in lowered.graph.tasks] == expected(nodes, "depthwise")


@pytest.mark.parametrize("name", ["relu", "silu", "residual, relu"])
def test_behind_a_grouped_convolution(name: str) -> None:
    nodes = CONV_TAILS[name].replace("pads", "group=3, pads")
    shape = "float[2,24,7,13]"
    weights = {**used(nodes), "w": normal(24, 8, 3, 3) / np.float32(8)}
    lowered = check(make_model(f"g ({shape} x) => ({shape} y) {{ {nodes} }}", weights), MATRIX)
    assert [task.kind for task in lowered.graph.tasks] == expected(nodes, "conv2d")


LINEAR_TAILS = {
    "bias": "m = MatMul(x, k) y = Add(m, v)",
    "bias in front": "m = MatMul(x, k) y = Add(v, m)",
    "gelu": (
        "m = MatMul(x, k) a = Add(m, v) d = Div(a, root) e = Erf(d) o = Add(e, one) "
        "g = Mul(a, o) y = Mul(g, half)"
    ),
    "tanh": "m = MatMul(x, k) y = Tanh(m)",
    "residual": "m = MatMul(x, k) a = Add(m, v) y = Add(a, x)",
    "compare": "m = MatMul(x, k) c = Greater(m, x) y = Where(c, m, x)",
}


@pytest.mark.parametrize("name", LINEAR_TAILS)
@pytest.mark.parametrize("rows", ["7", "1", "2,9"])
def test_behind_a_linear_layer(name: str, rows: str) -> None:
    nodes, shape = LINEAR_TAILS[name], f"float[{rows},35]"
    weights = {
        **{"k": normal(35, 35) / np.float32(6), "v": normal(35), "one": np.float32(1)},
        **{"root": np.float32(2**0.5), "half": np.float32(0.5)},
    }
    words = set("".join(c if c.isalnum() else " " for c in nodes).split())
    kept = {n: value for n, value in weights.items() if n in words}
    lowered = check(make_model(f"g ({shape} x) => ({shape} y) {{ {nodes} }}", kept), MATRIX)
    assert [task.kind for task in lowered.graph.tasks] == ["linear"]


def test_behind_a_product_of_activations() -> None:
    """Scale and mask of attention's scores, whose softmax is not asked for."""
    text = """g (float[2,4,17,8] q, float[2,4,17,8] k, float[2,1,1,17] mask)
        => (float[2,4,17,17] m) {
        t = Transpose<perm=[0,1,3,2]>(k) s = MatMul(q, t) d = Div(s, root) m = Add(d, mask) }"""
    lowered = check(make_model(text, {"root": np.float32(8**0.5)}), MATRIX)
    kinds = [task.kind for task in lowered.graph.tasks if task.kind != "elementwise"]
    assert kinds == ["matmul"]


def test_gate_is_not_fused_into_the_small_convolution() -> None:
    """A squeeze-and-excite gate multiplies a whole map: not in the tile of the 1x1 convolution."""
    text = """g (float[1,24,7,7] x) => (float[1,24,7,7] y) {
        p = GlobalAveragePool(x) c = Conv(p, w, b) s = Sigmoid(c) y = Mul(x, s) }"""
    lowered = check(make_model(text, {"w": normal(24, 24, 1, 1), "b": normal(24)}), MATRIX)
    assert "conv2d" in [task.kind for task in lowered.graph.tasks]
    assert "opaque" not in [task.kind for task in lowered.graph.tasks]


def test_two_convolutions_meet() -> None:
    """The tail of one reads the other's result, of equal shape."""
    text = """g (float[1,24,7,13] x) => (float[1,24,7,13] y) {
        a = Conv<pads=[1,1,1,1]>(x, w, b) c = Conv<pads=[1,1,1,1]>(a, w) d = Mul(a, c)
        y = Relu(d) }"""
    lowered = check(make_model(text, used("w b")), 4 * MATRIX)
    assert [t.kind for t in lowered.graph.tasks].count("conv2d") == 2


def test_result_used_twice() -> None:
    text = """g (float[1,24,7,13] x) => (float[1,24,7,13] y, float[1,24,7,13] z) {
        a = Conv<pads=[1,1,1,1]>(x, w, b) y = Relu(a) z = Neg(a) }"""
    check(make_model(text, used("w b")), MATRIX)
