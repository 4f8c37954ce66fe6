"""Operators without a matrix: reductions, pooling, layout, indices, logic, integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_harness import EXACT, MATRIX, POINTWISE, check, lower, make_model, normal, random_feeds

from hetcomp.schedules.facts import CpuFacts


def model(inputs: str, output: str, nodes: str, opset: int = 17, **weights: Any) -> Any:
    return make_model(f"g ({inputs}) => ({output}) {{ {nodes} }}", weights, opset=opset)


SUMS = {
    "softmax, last axis": ("float[3,5,37] x", "float[3,5,37] y", "y = Softmax<axis=-1>(x)"),
    "softmax, inner axis": ("float[3,19,5] x", "float[3,19,5] y", "y = Softmax<axis=1>(x)"),
    "softmax, first axis": ("float[19,5] x", "float[19,5] y", "y = Softmax<axis=0>(x)"),
    "softmax of one row": ("float[1,1000] x", "float[1,1000] y", "y = Softmax(x)"),
    "softmax of short rows": ("float[40,3] x", "float[40,3] y", "y = Softmax(x)"),
    "softmax, axis of one": ("float[40,1] x", "float[40,1] y", "y = Softmax(x)"),
    "log softmax": ("float[3,5,37] x", "float[3,5,37] y", "y = LogSoftmax(x)"),
    "layer norm": (
        *("float[3,5,37] x", "float[3,5,37] y"),
        "y = LayerNormalization<axis=-1>(x, s37, b37)",
    ),
    "layer norm without bias": (
        *("float[3,5,37] x", "float[3,5,37] y"),
        "y = LayerNormalization<axis=-1>(x, s37)",
    ),
    "layer norm over two axes": (
        *("float[4,5,37] x", "float[4,5,37] y"),
        "y = LayerNormalization<axis=1>(x, s5x37, b5x37)",
    ),
    "instance norm": (
        *("float[2,5,7,9] x", "float[2,5,7,9] y"),
        "y = InstanceNormalization(x, s5, b5)",
    ),
    "batch norm": (
        *("float[2,5,7,9] x", "float[2,5,7,9] y"),
        "y = BatchNormalization(x, s5, b5, m5, v5)",
    ),
    "lrn": ("float[2,8,7,9] x", "float[2,8,7,9] y", "y = LRN<size=3>(x)"),
    "mean, last axis": (
        *("float[3,5,37] x", "float[3,5,1] y"),
        "y = ReduceMean<axes=[-1], keepdims=1>(x)",
    ),
    "mean, first axis": (
        *("float[19,5,7] x", "float[5,7] y"),
        "y = ReduceMean<axes=[0], keepdims=0>(x)",
    ),
    "mean, pixels": (
        *("float[2,17,7,9] x", "float[2,17,1,1] y"),
        "y = ReduceMean<axes=[2,3]>(x)",
    ),
    "mean of pixels, blocks of channels": (
        *("float[1,12,13,96] x", "float[1,96] y"),
        "y = ReduceMean<axes=[1,2], keepdims=0>(x)",
    ),
    "mean of pixels of two images, with a tail": (
        *("float[2,9,7,256] x", "float[2,1,1,256] y"),
        "m = ReduceMean<axes=[1,2], keepdims=1>(x) o = Sigmoid(m) y = Mul(m, o)",
    ),
    "global average": ("float[2,17,7,9] x", "float[2,17,1,1] y", "y = GlobalAveragePool(x)"),
    "sum, middle axis": (
        *("float[3,19,33] x", "float[3,33] y"),
        "a = Constant<value = int64[1] {1}>() y = ReduceSum<keepdims=0>(x, a)",
    ),
    "sum of all": ("float[3,19,33] x", "float y", "y = ReduceSum<keepdims=0>(x)"),
    "l2": ("float[7,33] x", "float[7,1] y", "y = ReduceL2<axes=[1]>(x)"),
    "sum of squares": (
        "float[7,33] x",
        "float[7] y",
        "y = ReduceSumSquare<axes=[1], keepdims=0>(x)",
    ),
    "log sum exp": ("float[7,33] x", "float[7,1] y", "y = ReduceLogSumExp<axes=[1]>(x)"),
    "average pool": (
        *("float[1,17,13,13] x", "float[1,17,7,7] y"),
        "y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)",
    ),
    "average pool counting padding": (
        *("float[1,17,13,13] x", "float[1,17,7,7] y"),
        "y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], "
        "count_include_pad=1>(x)",
    ),
    "average pool, ceil": (
        *("float[1,8,14,14] x", "float[1,8,7,7] y"),
        "y = AveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(x)",
    ),
    "bilinear up": (
        *("float[1,8,7,5] x", "float[1,8,14,10] y"),
        'y = Resize<mode="linear">(x, , s)',
    ),
    "bilinear to a size, aligned": (
        *("float[1,8,7,5] x", "float[1,8,13,11] y"),
        "z = Constant<value = int64[4] {1,8,13,11}>() "
        'y = Resize<mode="linear", coordinate_transformation_mode="align_corners">(x, , , z)',
    ),
    "prelu": ("float[1,5,7,7] x", "float[1,5,7,7] y", "y = PRelu(x, slope)"),
    "cumulative sum": (
        *("float[5,7] x", "float[5,7] y"),
        "a = Constant<value = int64 {1}>() y = CumSum(x, a)",
    ),
    "einsum": (
        "float[5,7] x, float[7,3] z",
        "float[5,3] y",
        'y = Einsum<equation="ij,jk->ik">(x,z)',
    ),
}

MOVES = {
    "max": ("float[3,5,37] x", "float[3,5,1] y", "y = ReduceMax<axes=[-1]>(x)"),
    "max of short rows": (
        "float[30,3] x",
        "float[30] y",
        "y = ReduceMax<axes=[-1], keepdims=0>(x)",
    ),
    "min over two axes": (
        "float[3,5,37] x",
        "float[3] y",
        "y = ReduceMin<axes=[1,2], keepdims=0>(x)",
    ),
    "max pool": (
        *("float[1,17,13,13] x", "float[1,17,7,7] y"),
        "y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)",
    ),
    "max pool, ceil": (
        *("float[1,8,14,14] x", "float[1,8,7,7] y"),
        "y = MaxPool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(x)",
    ),
    "max pool, asymmetric": (
        *("float[2,8,7,9] x", "float[2,8,8,9] y"),
        "y = MaxPool<kernel_shape=[2,3], pads=[1,1,1,1]>(x)",
    ),
    "concat, channels": (
        *("float[1,3,7,7] x, float[1,17,7,7] z, float[1,5,7,7] w", "float[1,25,7,7] y"),
        "y = Concat<axis=1>(x, z, w)",
    ),
    "concat, last axis": (
        *("float[4,7] x, float[4,1] z, float[4,33] w", "float[4,41] y"),
        "y = Concat<axis=-1>(x, z, w)",
    ),
    "concat, first axis": (
        "float[4,7] x, float[3,7] z",
        "float[7,7] y",
        "y = Concat<axis=0>(x, z)",
    ),
    "concat of one twice": ("float[4,7] x", "float[4,14] y", "y = Concat<axis=1>(x, x)"),
    "split": (
        *("float[5,36] x", "float[5,3] y, float[5,17] z, float[5,16] w"),
        "p = Constant<value = int64[3] {3,17,16}>() y, z, w = Split<axis=1>(x, p)",
    ),
    "split, first axis": (
        *("float[5,6] x", "float[2,6] y, float[3,6] z"),
        "p = Constant<value = int64[2] {2,3}>() y, z = Split<axis=0>(x, p)",
    ),
    "slice": (
        *("float[5,36,7] x", "float[5,11,4] y"),
        "a = Constant<value = int64[2] {3,1}>() b = Constant<value = int64[2] {36,7}>() "
        "d = Constant<value = int64[2] {1,2}>() e = Constant<value = int64[2] {3,2}>() "
        "y = Slice(x, a, b, d, e) ",
    ),
    "slice backwards": (
        *("float[5,36] x", "float[5,36] y"),
        "a = Constant<value = int64[1] {35}>() b = Constant<value = int64[1] {-37}>() "
        "d = Constant<value = int64[1] {1}>() e = Constant<value = int64[1] {-1}>() "
        "y = Slice(x, a, b, d, e)",
    ),
    "pad": (
        *("float[5,7] x", "float[8,12] y"),
        "p = Constant<value = int64[4] {1,3,2,2}>() y = Pad(x, p)",
    ),
    "pad, reflected": (
        *("float[5,7] x", "float[8,12] y"),
        'p = Constant<value = int64[4] {1,3,2,2}>() y = Pad<mode="reflect">(x, p)',
    ),
    "pad, edge": (
        *("float[5,7] x", "float[8,12] y"),
        'p = Constant<value = int64[4] {1,3,2,2}>() y = Pad<mode="edge">(x, p)',
    ),
    "transpose": ("float[3,5,7,9] x", "float[9,3,7,5] y", "y = Transpose<perm=[3,0,2,1]>(x)"),
    "transpose of a matrix": ("float[33,50] x", "float[50,33] y", "y = Transpose(x)"),
    "reshape, transpose, reshape": (
        *("float[2,6,5,7] x", "float[6,70] y"),
        "a = Constant<value = int64[5] {2,2,3,5,7}>() b = Constant<value = int64[2] {6,70}>() "
        "r = Reshape(x, a) t = Transpose<perm=[2,1,0,3,4]>(r) y = Reshape(t, b)",
    ),
    "space to depth": ("float[1,3,8,6] x", "float[1,12,4,3] y", "y = SpaceToDepth<blocksize=2>(x)"),
    "depth to space": ("float[1,12,4,3] x", "float[1,3,8,6] y", "y = DepthToSpace<blocksize=2>(x)"),
    "nearest up": ("float[1,8,7,5] x", "float[1,8,14,10] y", 'y = Resize<mode="nearest">(x, , s)'),
    "tile": (
        *("float[3,5] x", "float[6,15] y"),
        "r = Constant<value = int64[2] {2,3}>() y = Tile(x, r)",
    ),
    "expand": (
        *("float[3,1,5] x", "float[2,3,4,5] y"),
        "r = Constant<value = int64[4] {2,3,4,5}>() y = Expand(x, r)",
    ),
    "where": (
        *("bool[3,1] c, float[3,37] x, float[1,37] z", "float[3,37] y"),
        "y = Where(c, x, z)",
    ),
    "greater": ("float[5,37] x, float[37] z", "bool[5,37] y", "y = Greater(x, z)"),
    "equal of integers": ("int64[5,37] x, int64[37] z", "bool[5,37] y", "y = Equal(x, z)"),
    "not and or": (
        *("bool[5,37] x, bool[37] z", "bool[5,37] y"),
        "n = Not(x) a = And(n, z) o = Or(a, x) y = Xor(o, z)",
    ),
    "compare and select": (
        *("float[5,37] x, float[5,37] z", "float[5,37] y"),
        "c = LessOrEqual(x, z) y = Where(c, x, z)",
    ),
    "int64 arithmetic": (
        *("int64[5,37] x, int64[37] z", "int64[5,37] y"),
        "a = Add(x, z) b = Mul(a, a) d = Sub(b, z) y = Neg(d)",
    ),
    "int64 constants beyond 32 bits": (
        *("int64[5,7] x", "int64[5,7] y"),
        "a = Constant<value = int64 {5000000000}>() b = Mul(x, a) y = Add(b, x)",
    ),
    "int32 division": (
        *("int32[5,37] x", "int32[5,37] y"),
        "a = Constant<value = int32 {3}>() y = Div(x, a)",
    ),
    "sum of integers": (
        *("int64[5,37] x", "int64[5,1] y"),
        "a = Constant<value = int64[1] {1}>() y = ReduceSum(x, a)",
    ),
    "cast to int": ("float[5,37] x", "int64[5,37] y", "y = Cast<to=7>(x)"),
    "cast from bool": ("bool[5,37] x", "float[5,37] y", "y = Cast<to=1>(x)"),
    "cast to bool": ("float[5,37] x", "bool[5,37] y", "y = Cast<to=9>(x)"),
    "cast int64 to int32": ("int64[5,37] x", "int32[5,37] y", "y = Cast<to=6>(x)"),
    "cast to double": ("float[5,37] x", "double[5,37] y", "y = Cast<to=11>(x)"),
    "argmax": ("float[5,37] x", "int64[5,1] y", "y = ArgMax<axis=1>(x)"),
    "floor and sign": ("float[5,37] x", "float[5,37] y", "f = Floor(x) g = Sign(x) y = Add(f, g)"),
    "round": ("float[5,37] x", "float[5,37] y", "y = Round(x)"),
    "clip": (
        *("float[5,37] x", "float[5,37] y"),
        "a = Constant<value = float {-0.5}>() b = Constant<value = float {0.7}>() "
        "y = Clip(x, a, b)",
    ),
    "two outputs": ("float[5,37] x", "float[5,37] y, float[5,37] z", "y = Relu(x) z = Neg(y)"),
    "scalar": ("float x", "float y", "y = Abs(x)"),
    "one element": ("float[1] x", "float[1] y", "y = Neg(x)"),
    "prime length": ("float[4099] x", "float[4099] y", "y = Neg(x)"),
}

WEIGHTS: dict[str, Any] = {
    "s37": normal(37),
    "b37": normal(37, seed=1),
    "s5x37": normal(5, 37),
    "b5x37": normal(5, 37, seed=1),
    "s5": normal(5),
    "b5": normal(5, seed=1),
    "m5": normal(5, seed=2),
    "v5": np.abs(normal(5, seed=3)) + np.float32(0.1),
    "s": np.array([1, 1, 2, 2], np.float32),
    "slope": normal(5, 1, 1),
}


def used(nodes: str) -> dict[str, Any]:
    words = set("".join(c if c.isalnum() else " " for c in nodes).split())
    return {name: value for name, value in WEIGHTS.items() if name in words}


@pytest.mark.parametrize("name", SUMS)
def test_arithmetic(name: str) -> None:
    """Sums of many float32 terms, in another order than ONNX Runtime's."""
    inputs, output, nodes = SUMS[name]
    check(model(inputs, output, nodes, **used(nodes)), MATRIX)


@pytest.mark.parametrize("name", MOVES)
def test_exact(name: str) -> None:
    """Values moved, compared, or computed in integers."""
    inputs, output, nodes = MOVES[name]
    check(model(inputs, output, nodes, **used(nodes)), EXACT)


FUNCTIONS = (
    "Exp Log Tanh Erf Sigmoid Sqrt Softplus HardSigmoid HardSwish Elu Selu LeakyRelu Sin Cos"
)


@pytest.mark.parametrize("name", FUNCTIONS.split())
def test_function(name: str) -> None:
    body = model("float[3,41] x", "float[3,41] y", f"y = {name}(x)")
    feeds = random_feeds(body)
    if name in ("Log", "Sqrt"):
        feeds["x"] = np.abs(feeds["x"])
    check(body, POINTWISE, feeds=feeds)


@pytest.mark.parametrize("name", ["Floor", "Ceil", "Reciprocal", "Abs", "Neg"])
def test_exact_function(name: str) -> None:
    check(model("float[3,41] x", "float[3,41] y", f"y = {name}(x)"), EXACT)


def test_gather_by_run_time_indices() -> None:
    body = model("int64[2,7] i", "float[2,7,33] y", "y = Gather(table, i)", table=normal(50, 33))
    indices = np.random.default_rng(0).integers(-50, 50, (2, 7))
    check(body, EXACT, feeds={"i": indices})


def test_gather_of_columns() -> None:
    body = model("float[5,9] x, int64[4] i", "float[5,4] y", "y = Gather<axis=1>(x, i)")
    feeds = random_feeds(body)
    check(body, EXACT, feeds={**feeds, "i": np.array([8, 0, 3, -1])})


def test_gather_elements() -> None:
    body = model("float[5,9] x, int64[5,4] i", "float[5,4] y", "y = GatherElements<axis=1>(x, i)")
    indices = np.random.default_rng(0).integers(0, 9, (5, 4))
    check(body, EXACT, feeds={**random_feeds(body), "i": indices})


@pytest.mark.parametrize("facts", [CpuFacts.AVX2, CpuFacts.SSE], ids=lambda f: f.name)
@pytest.mark.parametrize(
    "name", ["softmax, inner axis", "layer norm", "average pool", "mean, pixels"]
)
def test_other_register_files(name: str, facts: Any) -> None:
    inputs, output, nodes = SUMS[name]
    check(model(inputs, output, nodes, **used(nodes)), MATRIX, facts=facts)


def test_division_of_negative_integers_truncates() -> None:
    body = model("int64[9] x", "int64[9] y", "k = Constant<value = int64 {4}>() y = Div(x, k)")
    check(body, EXACT, feeds={"x": np.arange(-4, 5)})


def test_softmax_of_large_and_infinite_values() -> None:
    body = model("float[4,20] x", "float[4,20] y", "y = Softmax(x)")
    x = normal(4, 20) * np.float32(1e4)
    x[1, 3:] = -np.inf
    x[2] = -1e30
    check(body, POINTWISE, feeds={"x": x})


def test_nan_and_infinity_pass_through_moves() -> None:
    body = model("float[2,20] x", "float[20,2] y", "y = Transpose(x)")
    x = normal(2, 20)
    x[0, :3] = [np.nan, np.inf, -np.inf]
    check(body, EXACT, feeds={"x": x})


def test_no_input_is_overwritten_by_an_intermediate_row() -> None:
    """`t` is kept in the output's row, where `x` would still be read."""
    text = """g (float[33,64] x) => (float[33,64] y) {
        t = Erf(x) u = Tanh(t) v = Mul(t, u) s = Sigmoid(t) q = Add(v, s) y = Add(q, x) }"""
    lowered = check(make_model(text), POINTWISE)
    assert [task.in_place for task in lowered.graph.tasks] == [()]
    plain = check(make_model("g (float[33,64] x) => (float[33,64] y) { y = Erf(x) }"), POINTWISE)
    assert [task.in_place for task in plain.graph.tasks] == [(0,)]


@pytest.mark.parametrize(("channels", "tiles"), [(1280, 16), (320, 5), (96, 2), (32, 2), (40, 1)])
def test_few_rows_are_cut_into_blocks_of_channels(channels: int, tiles: int) -> None:
    """So that two processors can share what is one row."""
    text = "y = ReduceMean<axes=[1,2], keepdims=1>(x)"
    one = model(f"float[1,14,14,{channels}] x", f"float[1,1,1,{channels}] y", text)
    (task,) = lower(one).graph.tasks
    assert (task.rows.extent, task.rows.ragged) == (tiles, False)


def test_blocks_need_a_row_for_the_intermediate() -> None:
    """The output's row has no room for floats: the pool's would be cut to bytes there."""
    text = """t = Transpose<perm=[0,3,1,2]>(x) m = MaxPool<kernel_shape=[3,3], strides=[2,2]>(t)
        p = Transpose<perm=[0,2,3,1]>(m) y = QuantizeLinear(p, scale, zero)"""
    constants = {"scale": np.float32(0.03), "zero": np.uint8(120)}
    check(model("float[1,7,7,256] x", "uint8[1,3,3,256] y", text, **constants), EXACT)


def test_rows_with_pieces_are_whole() -> None:
    """A block may lie across the border between what is padded and what is not."""
    pads = np.array([0, 0, 40, 0, 0, 24])
    one = model("float[1,1,4032] x", "float[1,1,4096] y", "y = Pad(x, p)", p=pads)
    lowered = check(one, EXACT)
    assert [task.rows.extent for task in lowered.graph.tasks] == [1]
