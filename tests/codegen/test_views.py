"""Concatenations of channels written in place, splits of channels read in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_harness import MATRIX, check, make_model, normal

from hetcomp.plan.graph import TaskGraph

BRANCHES = """g (float[1,8,6,5] x) => (float[1,48,6,5] y) {
    p = Conv<pads: ints = [1,1,1,1]>(x, u) q = Relu(p)
    r = Conv(x, v)
    y = Concat<axis: int = 1>(q, r) }"""
WEIGHTS = {"u": normal(16, 8, 3, 3), "v": normal(32, 8, 1, 1, seed=1)}


def computed(text: str, **weights: Any) -> TaskGraph:
    """The graph of a model, whose tasks were run in all cuts and compared with ONNX Runtime."""
    return check(make_model(text, weights), MATRIX).graph


def slices(graph: TaskGraph) -> int:
    return sum(tensor.pitch_bytes > 0 for tensor in graph.tensors)


def test_branches_write_into_the_concatenation() -> None:
    graph = computed(BRANCHES, **WEIGHTS)
    whole = next(t for t in graph.tensors if t.shape[-1] == 48)
    parts = [t for t in graph.tensors if t.pitch_bytes]
    assert [(t.shape[-1], t.offset_bytes, t.pitch_bytes) for t in parts] == [
        (16, 0, 192),
        (32, 64, 192),
    ]
    assert all(graph.tensors[t.alias_of or 0] is whole for t in parts)


def test_chain_of_concatenations_shares_one_buffer() -> None:
    text = """g (float[1,16,4,4] x) => (float[1,64,4,4] y) {
        a = Conv(x, t) b = Conv(a, u) c = Concat<axis: int = 1>(a, b)
        d = Conv(c, v) e = Concat<axis: int = 1>(c, d) y = Conv(e, w) }"""
    weights = {
        "t": normal(16, 16, 1, 1, seed=3),
        "u": normal(16, 16, 1, 1),
        "v": normal(32, 32, 1, 1, seed=1),
        "w": normal(64, 64, 1, 1, seed=2),
    }
    graph = computed(text, **weights)
    found = [t for t in graph.tensors if t.pitch_bytes]
    assert {t.pitch_bytes for t in found} == {256}
    assert len({t.alias_of for t in found}) == 1
    assert sorted(t.offset_bytes for t in found) == [0, 0, 64, 128]


@pytest.mark.parametrize(
    "reader",
    [
        "MaxPool<kernel_shape: ints = [3,3], strides: ints = [2,2]>(p)",
        "Conv<kernel_shape: ints = [3,3], group: int = 16>(p, d)",
        "Conv<pads: ints = [1,1,1,1]>(p, w)",
        "Sigmoid(p)",
        "GlobalAveragePool(p)",
    ],
)
def test_other_readers_of_a_part(reader: str) -> None:
    text = f"""g (float[1,8,7,9] x) => (float[1,32,7,9] y, float[n,c,h,w] z) {{
        p = Conv(x, u) q = Conv(x, v) y = Concat<axis: int = 1>(p, q) z = {reader} }}"""
    weights = {
        "u": normal(16, 8, 1, 1),
        "v": normal(16, 8, 1, 1, seed=1),
        "d": normal(16, 1, 3, 3, seed=2),
        "w": normal(8, 16, 3, 3, seed=3),
    }
    assert slices(computed(text, **weights)) == 2


def test_residual_read_from_a_part() -> None:
    text = """g (float[1,8,5,5] x) => (float[1,32,5,5] y, float[1,16,5,5] z) {
        p = Conv(x, u) q = Conv(x, v) y = Concat<axis: int = 1>(p, q)
        r = Conv(x, w) z = Add(r, p) }"""
    weights = {name: normal(16, 8, 1, 1, seed=seed) for seed, name in enumerate("uvw")}
    assert slices(computed(text, **weights)) == 2


def test_part_that_is_an_input_is_copied_into_its_slice() -> None:
    text = """g (float[1,5,5,16] x) => (float[1,5,5,32] y) {
        p = MatMul(x, u) y = Concat<axis: int = 3>(x, p) }"""
    assert slices(computed(text, u=normal(16, 16))) == 2


def test_part_of_two_concatenations_is_copied_into_one() -> None:
    text = """g (float[1,8,5,5] x) => (float[1,32,5,5] y, float[1,32,5,5] z) {
        p = Conv(x, u) q = Conv(x, v) r = Conv(x, w)
        y = Concat<axis: int = 1>(p, q) z = Concat<axis: int = 1>(r, p) }"""
    weights = {name: normal(16, 8, 1, 1, seed=seed) for seed, name in enumerate("uvw")}
    assert slices(computed(text, **weights)) == 4


@pytest.mark.parametrize("width", [8, 17])
def test_parts_off_the_alignment_are_copied(width: int) -> None:
    text = f"""g (float[1,8,5,5] x) => (float[1,{width + 16},5,5] y) {{
        p = Conv(x, u) q = Conv(x, v) y = Concat<axis: int = 1>(p, q) }}"""
    weights = {"u": normal(width, 8, 1, 1), "v": normal(16, 8, 1, 1, seed=1)}
    assert slices(computed(text, **weights)) == 0


def test_model_output_is_no_slice() -> None:
    text = """g (float[1,6,5,16] x) => (float[1,6,5,32] y, float[1,6,5,16] p) {
        p = MatMul(x, u) q = MatMul(x, v) y = Concat<axis: int = 3>(p, q) }"""
    graph = computed(text, u=normal(16, 16), v=normal(16, 16, seed=1))
    assert all(graph.tensors[output].pitch_bytes == 0 for output in graph.outputs)
    assert slices(graph) == 2


def test_reshaped_part_is_no_slice() -> None:
    text = """g (float[1,6,5,16] x) => (float[1,6,5,32] y, float[480] z) {
        p = MatMul(x, u) q = MatMul(x, v) y = Concat<axis: int = 3>(p, q)
        z = Reshape(p, s) }"""
    weights = {"u": normal(16, 16), "v": normal(16, 16, seed=1), "s": np.array([480])}
    graph = computed(text, **weights)
    assert slices(graph) == 2


C2F = """g (float[1,8,6,5] x) => (float[1,40,6,5] y) {
    a = Conv(x, u) s = Relu(a) p, q = Split<axis: int = 1>(s)
    b = Conv<pads: ints = [1,1,1,1]>(q, v) c = Add(b, q)
    d = Concat<axis: int = 1>(p, q, c) y = Conv(d, w) }"""
C2F_WEIGHTS = {
    "u": normal(32, 8, 1, 1),
    "v": normal(16, 16, 3, 3, seed=1),
    "w": normal(40, 48, 1, 1, seed=2),
}


def test_block_of_split_and_concatenation_copies_nothing() -> None:
    graph = computed(C2F, **C2F_WEIGHTS)
    assert [task.kind for task in graph.tasks] == ["elementwise", *["conv2d"] * 3, "elementwise"]
    parts = [t for t in graph.tensors if t.pitch_bytes]
    assert sorted((t.shape[-1], t.offset_bytes, t.pitch_bytes) for t in parts) == [
        (16, 64, 192),
        (16, 128, 192),
        (32, 0, 192),
    ]


SPLIT = """g (float[1,8,7,9] x) => (float[n,c,h,w] y, float[1,16,7,9] z) {
    a = Conv(x, u) s = Relu(a) p, q, r = Split<axis: int = 1>(s) z = Add(p, r) y = READER }"""
SPLIT_WEIGHTS = {
    "u": normal(48, 8, 1, 1),
    "d": normal(16, 1, 3, 3, seed=2),
    "w": normal(8, 16, 3, 3, seed=3),
}


@pytest.mark.parametrize(
    "reader",
    [
        "MaxPool<kernel_shape: ints = [3,3], strides: ints = [2,2]>(q)",
        "Conv<kernel_shape: ints = [3,3], group: int = 16>(q, d)",
        "Conv<pads: ints = [1,1,1,1]>(q, w)",
        "GlobalAveragePool(q)",
    ],
)
def test_readers_of_a_part_of_a_split(reader: str) -> None:
    graph = computed(SPLIT.replace("READER", reader), **SPLIT_WEIGHTS)
    (view,) = (t for t in graph.tensors if t.pitch_bytes)
    assert (view.shape[-1], view.offset_bytes, view.pitch_bytes) == (16, 64, 192)
    assert sum(task.kind in ("elementwise", "opaque") for task in graph.tasks) <= 3


@pytest.mark.parametrize(
    ("operators", "views"),
    [
        ("p, q = Split<axis: int = 1>(s, widths)", 0),  # off the alignment
        ("p, q = Split<axis: int = 2>(s)", 0),  # rows, not channels
        ("q = Slice(s, begin, end, axes)", 1),
        ("q = Slice(s, begin, end, axes, two)", 0),  # every second channel
    ],
)
def test_parts_by_other_operators(operators: str, views: int) -> None:
    text = f"""g (float[1,8,6,5] x) => (float[n,c,h,w] y) {{
        a = Conv(x, u) s = Relu(a) {operators} y = MaxPool<kernel_shape: ints = [2,2]>(q) }}"""
    integers = {"begin": [-32], "end": [1 << 40], "axes": [-3], "two": [2], "widths": [8, 40]}
    arrays = {name: np.array(value, np.int64) for name, value in integers.items()}
    assert slices(computed(text, u=normal(48, 8, 1, 1), **arrays)) == views


def test_part_of_a_split_that_is_an_output_is_copied() -> None:
    text = """g (float[1,6,16] x) => (float[1,6,16] p, float[1,6,16] y) {
        s = MatMul(x, u) p, q = Split<axis: int = 2>(s) y = MatMul(q, v) }"""
    graph = computed(text, u=normal(16, 32), v=normal(16, 16, seed=1))
    assert all(graph.tensors[output].pitch_bytes == 0 for output in graph.outputs)
    assert slices(graph) == 1


def test_growing_concatenations_share_one_buffer() -> None:
    text = """g (float[1,8,4,4] x) => (float[1,8,4,4] y) {
        a = Conv(x, t) b = Conv(a, u) c = Concat<axis: int = 1>(a, b)
        d = Conv(c, v) e = Concat<axis: int = 1>(a, b, d) y = Conv(e, w) }"""
    weights = {
        "t": normal(16, 8, 1, 1, seed=3),
        "u": normal(16, 16, 1, 1),
        "v": normal(32, 32, 1, 1, seed=1),
        "w": normal(8, 64, 1, 1, seed=2),
    }
    graph = computed(text, **weights)
    assert {t.pitch_bytes for t in graph.tensors} == {0, 256}
    assert [task.kind for task in graph.tasks].count("conv2d") == 4
    assert sum(task.kind == "elementwise" for task in graph.tasks) <= 2  # layout of the ends
