"""Operators without a schedule: they run as TVM made them, on the CPU, and say why."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_harness import EXACT, MATRIX, check, make_model, normal, random_feeds

TOP = "float[3,4,50] x", "k = Constant<value = int64[1] {{7}}>() v, i = TopK<{}>(x, k)"
CASES = {
    "topk": (TOP[0], "float[3,4,7] v, int64[3,4,7] i", TOP[1].format("axis=2")),
    "topk, smallest": (
        *(TOP[0], "float[3,4,7] v, int64[3,4,7] i"),
        TOP[1].format("axis=2, largest=0"),
    ),
    "topk, inner axis": (
        *("float[3,9,5] x", "float[3,7,5] v, int64[3,7,5] i"),
        TOP[1].format("axis=1"),
    ),
    "sort": (
        *("float[3,50] x", "float[3,50] v, int64[3,50] i"),
        "k = Constant<value = int64[1] {50}>() v, i = TopK(x, k)",
    ),
    "topk, indices alone": (
        *("float[3,50] x", "int64[3,7] i"),
        "k = Constant<value = int64[1] {7}>() v, i = TopK(x, k)",
    ),
    "cumulative sum": (
        *("float[5,7,3] x", "float[5,7,3] y"),
        "a = Constant<value = int64 {1}>() y = CumSum(x, a)",
    ),
    "cumulative sum, reversed": (
        *("float[5,7] x", "float[5,7] y"),
        "a = Constant<value = int64 {1}>() y = CumSum<reverse=1>(x, a)",
    ),
    "cumulative sum, exclusive": (
        *("float[5,7] x", "float[5,7] y"),
        "a = Constant<value = int64 {0}>() y = CumSum<exclusive=1>(x, a)",
    ),
    "scatter elements": (
        *("float[5,4] x, int64[2,4] j, float[2,4] u", "float[5,4] y"),
        "y = ScatterElements(x, j, u)",
    ),
    "scatter": (
        *("float[5,4] x, int64[2,1] j, float[2,4] u", "float[5,4] y"),
        "y = ScatterND(x, j, u)",
    ),
    "argmax": ("float[7,40] x", "int64[7,1] y", "y = ArgMax<axis=1>(x)"),
    "argmin, first axis": ("float[7,40] x", "int64[40] y", "y = ArgMin<axis=0, keepdims=0>(x)"),
    "hardmax": ("float[7,40] x", "float[7,40] y", "y = Hardmax(x)"),
}


@pytest.mark.parametrize("name", CASES)
def test_fallback(name: str) -> None:
    inputs, outputs, nodes = CASES[name]
    model = make_model(f"g ({inputs}) => ({outputs}) {{ {nodes} }}")
    feeds = random_feeds(model)
    if "j" in feeds:
        feeds["j"] = np.broadcast_to(np.array([[1], [4]]), feeds["j"].shape).copy()
    tolerance = MATRIX if "sum" in name else EXACT
    lowered = check(model, tolerance, feeds=feeds)
    opaque = [t for t in lowered.graph.tasks if t.kind == "opaque"]
    assert opaque
    for task in opaque:
        kernel = lowered.graph.kernels[task.kernel]
        assert not kernel.opencl
        assert kernel.why_no_opencl
        assert (task.rows.extent, task.channels.extent) == (1, 1)


def test_topk_of_equal_values_keeps_their_order() -> None:
    text = """g (float[1,20] x) => (float[1,7] v, int64[1,7] i) {
        k = Constant<value = int64[1] {7}>() v, i = TopK(x, k) }"""
    x = np.float32(normal(1, 20) > 0)
    check(make_model(text), EXACT, feeds={"x": x})


def test_large_scratch() -> None:
    """Buffers beyond the stack's share come from the runtime's workspace."""
    text = "g (float[64,1000] x) => (float[64,1000] y) { y = Hardmax(x) }"
    check(make_model(text), EXACT)
