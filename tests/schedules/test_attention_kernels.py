"""Fused attention against ONNX Runtime, under every cut."""

from __future__ import annotations

import re

import numpy as np
import pytest
from kernel_harness import MATRIX, check, make_model, normal

from hetcomp.codegen.kernels import opencl_source
from hetcomp.schedules.facts import CpuFacts, DeviceFacts, GroupFacts, OpenclCpuFacts

HEADS = """g (float[{b},{m},{w}] x, float[{b},{n},{w}] z{more}) => (float[{b},{m},{w}] y) {{
    q1 = Reshape(x, s) q = Transpose<perm: ints = [0,2,1,3]>(q1)
    k1 = Reshape(z, s) k = Transpose<perm: ints = [0,2,3,1]>(k1)
    v1 = Sigmoid(z) v2 = Reshape(v1, s) v = Transpose<perm: ints = [0,2,1,3]>(v2)
    t = MatMul(q, k) {steps} p = Softmax<axis: int = -1>(l) o = MatMul(p, v)
    r = Transpose<perm: ints = [0,2,1,3]>(o) y = Reshape(r, e) }}"""


@pytest.mark.parametrize("facts", [CpuFacts.AVX512, CpuFacts.AVX2], ids=lambda facts: facts.name)
@pytest.mark.parametrize(
    ("rows", "keys", "heads", "width"),
    [
        (32, 32, 2, 32),
        (50, 50, 3, 16),
        (1, 17, 2, 40),
        (29, 7, 1, 8),
        (3, 1, 4, 33),
        (5, 300, 2, 20),
    ],
)
def test_heads(rows: int, keys: int, heads: int, width: int, facts: DeviceFacts) -> None:
    sizes = {"b": 1, "m": rows, "n": keys, "w": heads * width, "more": ""}
    text = HEADS.format(**sizes, steps="l = Mul(t, c)")
    weights = {
        "s": np.array([0, 0, heads, width]),
        "e": np.array([0, 0, heads * width]),
        "c": np.float32(0.3),
    }
    check(make_model(text, weights), MATRIX, facts=facts)


@pytest.mark.parametrize(
    ("mask", "steps"),
    [
        ("2,1,1,9", "a = Mul(t, c) l = Add(a, mask)"),
        ("9", "a = Div(t, c) l = Sub(a, mask)"),
        ("1,3,6,9", "l = Add(t, mask)"),
    ],
)
def test_masks(mask: str, steps: str) -> None:
    sizes = {"b": 2, "m": 6, "n": 9, "w": 24, "more": f", float[{mask}] mask"}
    text = HEADS.format(**sizes, steps=steps)
    weights = {"s": np.array([0, 0, 3, 8]), "e": np.array([0, 0, 24]), "c": np.float32(2)}
    lowered = check(make_model(text, weights), MATRIX)
    assert [task.kind for task in lowered.graph.tasks].count("attention") == 1


@pytest.mark.parametrize(
    ("rows", "heads", "width", "order"), [(16, 3, 16, "qkv"), (9, 2, 5, "kqv"), (1, 2, 8, "vkq")]
)
def test_heads_of_a_split(rows: int, heads: int, width: int, order: str) -> None:
    """Query and values are read from the tensor that was split, the keys are turned from there."""
    text = f"""g (float[2,{rows},8] x) => (float[2,{rows},{heads * width}] y) {{
        a = MatMul(x, u) {order[0]}0, {order[1]}0, {order[2]}0 = Split<axis: int = 2>(a)
        q1 = Reshape(q0, s) q = Transpose<perm: ints = [0,2,1,3]>(q1)
        k1 = Reshape(k0, s) k = Transpose<perm: ints = [0,2,3,1]>(k1)
        v1 = Reshape(v0, s) v = Transpose<perm: ints = [0,2,1,3]>(v1)
        t = MatMul(q, k) p = Softmax<axis: int = -1>(t) o = MatMul(p, v)
        r = Transpose<perm: ints = [0,2,1,3]>(o) y = Reshape(r, e) }}"""
    weights = {
        "u": normal(8, 3 * heads * width),
        "s": np.array([0, 0, heads, width]),
        "e": np.array([0, 0, heads * width]),
    }
    lowered = check(make_model(text, weights), MATRIX)
    kinds = [task.kind for task in lowered.graph.tasks]
    assert kinds == ["linear", "elementwise", "attention", "elementwise"]  # the last reshapes y


def test_without_transposes() -> None:
    text = """g (float[1,2,6,8] q, float[1,2,8,9] k, float[1,2,9,5] v) => (float[1,2,6,5] y) {
        t = MatMul(q, k) p = Softmax<axis: int = -1>(t) y = MatMul(p, v) }"""
    lowered = check(make_model(text, {}), MATRIX)
    assert [task.kind for task in lowered.graph.tasks] == ["attention"]


def test_hidden_keys_have_no_weight() -> None:
    """A causal mask of minus infinity; every row sees one key at least."""
    text = """g (float[1,2,6,8] q, float[1,2,8,6] k, float[1,2,6,5] v) => (float[1,2,6,5] y) {
        t = MatMul(q, k) l = Add(t, m) p = Softmax<axis: int = -1>(l) y = MatMul(p, v) }"""
    mask = np.triu(np.full((6, 6), -np.inf, np.float32), 1)
    check(make_model(text, {"m": mask}), MATRIX)


@pytest.mark.parametrize("facts", [CpuFacts.AVX512, CpuFacts.AVX2], ids=lambda facts: facts.name)
@pytest.mark.parametrize("keys", [9, 16])
@pytest.mark.parametrize("hidden", [np.finfo(np.float32).min, -np.inf])
def test_rows_that_see_no_key(hidden: float, keys: int, facts: DeviceFacts) -> None:
    """As in ONNX Runtime the lowest number everywhere means equal weights, minus infinity NaN."""
    text = f"""g (float[1,2,6,8] q, float[1,2,8,{keys}] k, float[1,2,{keys},5] v)
        => (float[1,2,6,5] y) {{
        t = MatMul(q, k) l = Add(t, m) p = Softmax<axis: int = -1>(l) y = MatMul(p, v) }}"""
    mask = np.zeros((6, keys), np.float32)
    mask[0, -1] = mask[2] = mask[3, 1:] = mask[4, :3] = hidden
    lowered = check(make_model(text, {"m": mask}), MATRIX, facts=facts)
    assert [task.kind for task in lowered.graph.tasks] == ["attention"]


def test_many_keys_fit_the_smallest_local_memory() -> None:
    text = """g (float[1,1,16,8] q, float[1,1,8,1024] k, float[1,1,1024,5] v)
        => (float[1,1,16,5] y) {
        t = MatMul(q, k) p = Softmax<axis: int = -1>(t) y = MatMul(p, v) }"""
    # Positive values: what cancelled would leave a result smaller than the errors of its sum.
    feeds = {"q": normal(1, 1, 16, 8), "k": normal(1, 1, 8, 1024)}
    feeds["v"] = np.abs(normal(1, 1, 1024, 5))
    lowered = check(make_model(text, {}), MATRIX, feeds=feeds)
    source = opencl_source(lowered.kernels, OpenclCpuFacts.AVX512)
    (elements,) = re.findall(r"__local float scratch_ptr\[(\d+)\]", source)
    assert 4 * int(elements) <= GroupFacts().local_bytes


def test_large_scores_do_not_overflow() -> None:
    text = """g (float[1,2,6,8] q, float[1,2,8,6] k, float[1,2,6,5] v) => (float[1,2,6,5] y) {
        l = MatMul(q, k) p = Softmax<axis: int = -1>(l) y = MatMul(p, v) }"""
    feeds = {"q": 100 * normal(1, 2, 6, 8), "k": 100 * normal(1, 2, 8, 6), "v": normal(1, 2, 6, 5)}
    check(make_model(text, {}), MATRIX, feeds=feeds)


@pytest.mark.parametrize(
    "outputs", ["float[1,2,6,5] y, float[1,2,6,6] p", "float[1,2,6,5] y, float[1,2,6,6] t"]
)
def test_scores_that_others_read_are_kept(outputs: str) -> None:
    text = f"""g (float[1,2,6,8] q, float[1,2,8,6] k, float[1,2,6,5] v) => ({outputs}) {{
        t = MatMul(q, k) p = Softmax<axis: int = -1>(t) y = MatMul(p, v) }}"""
    lowered = check(make_model(text, {}), MATRIX)
    assert "attention" not in {task.kind for task in lowered.graph.tasks}
