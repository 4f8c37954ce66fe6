"""The same kernels as OpenCL: whole on the device, and shared with the CPU by random ranges."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernel_harness import (
    MATRIX,
    POINTWISE,
    assert_close,
    make_model,
    normal,
    random_feeds,
    reference,
)
from opencl_device import DEVICES, skip_or_fail

import hetcomp
from hetcomp.options import CompileOptions
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.steps import make_table

RANDOM_PLANS = 5

CASES: dict[str, Any] = {
    "linear": ("float[33,37] x", "float[33,50] y", "m = MatMul(x, w) y = Add(m, b)", (37, 50), 50),
    "linear, one row": ("float[1,37] x", "float[1,257] y", "y = MatMul(x, w)", (37, 257), 0),
    "linear, narrow": ("float[9,37] x", "float[9,3] y", "y = MatMul(x, w)", (37, 3), 0),
    "attention": (
        *("float[2,4,17,8] q, float[2,4,17,8] k, float[2,1,1,17] m", "float[2,4,17,8] y"),
        "t = Transpose<perm=[0,1,3,2]>(k) s = MatMul(q, t) a = Add(s, m) p = Softmax(a) "
        "y = MatMul(p, k)",
        *((), 0),
    ),
    "attention, rows that see no key": (
        *("float[1,2,17,8] q, float[1,2,9,8] k", "float[1,2,17,8] y"),
        "t = Transpose<perm=[0,1,3,2]>(k) s = MatMul(q, t) a = Add(s, mask) p = Softmax(a) "
        "y = MatMul(p, k)",
        *((), 0),
    ),
    "convolution": (
        *("float[1,17,13,35] x", "float[1,58,7,18] y"),
        "c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b) y = HardSwish(c)",
        *((58, 17, 3, 3), 58),
    ),
    "convolution, winograd": (
        *("float[2,40,31,37] x", "float[2,88,31,37] y"),
        "c = Conv<pads=[1,1,1,1]>(x, w, b) y = Relu(c)",
        *((88, 40, 3, 3), 88),
    ),
    "convolution, winograd, few tiles": (
        *("float[1,128,14,14] x", "float[1,160,14,14] y"),
        "c = Conv<pads=[1,1,1,1]>(x, w, b) y = Relu(c)",
        *((160, 128, 3, 3), 160),
    ),
    "convolution, nchw, 7x7": (
        *("float[1,3,35,35] x", "float[1,32,18,18] y"),
        "c = Conv<pads=[3,3,3,3], strides=[2,2]>(x, w, b) y = Relu(c)",
        *((32, 3, 7, 7), 32),
    ),
    "grouped convolution": (
        *("float[2,8,7,7] x", "float[2,34,7,7] y"),
        "c = Conv<pads=[1,1,1,1], group=2>(x, w) y = Sigmoid(c)",
        *((34, 4, 3, 3), 0),
    ),
    "dilated convolution": (
        *("float[1,8,17,17] x", "float[1,3,17,17] y"),
        "y = Conv<pads=[6,6,6,6], dilations=[6,6]>(x, w)",
        *((3, 8, 3, 3), 0),
    ),
    "depthwise convolution": (
        *("float[1,58,13,13] x", "float[1,58,7,7] y"),
        "c = Conv<pads=[1,1,1,1], strides=[2,2], group=58>(x, w, b) y = Clip(c, zero, six)",
        *((58, 1, 3, 3), 58),
    ),
    "pools and concat": (
        *("float[1,17,13,13] x", "float[1,34,7,7] y"),
        "a = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x) "
        "d = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x) "
        "y = Concat<axis=1>(a, d)",
        *((), 0),
    ),
    "layer norm and gelu": (
        *("float[5,37] x", "float[5,37] y"),
        "n = LayerNormalization(x, w, b) e = Erf(n) t = Tanh(n) l = Exp(t) g = Mul(e, l) "
        "y = Add(g, x)",
        *((37,), 37),
    ),
    "channel shuffle": (
        *("float[1,20,5,7] x", "float[1,24,5,7] y"),
        "c = Conv(x, w) r = Sigmoid(c) j = Concat<axis=1>(c, r) g = Reshape(j, groups) "
        "t = Transpose<perm=[0,2,1,3,4]>(g) s = Reshape(t, joined) "
        "l, y = Split<axis=1>(s, parts)",
        *((18, 20, 1, 1), 0),
    ),
    "bilinear resize": (
        *("float[1,5,6,19] x", "float[1,5,17,70] y"),
        'c = Conv(x, w) y = Resize<mode="linear">(c, none, none, size)',
        *((5, 5, 1, 1), 0),
    ),
    "logarithm, mean, sum": (
        *("float[3,19,33] x", "float[3,33] y"),
        "s = Softplus(x) y = ReduceMean<axes=[1], keepdims=0>(s)",
        *((), 0),
    ),
    "gather and compare": (
        *("int64[5,7] i, bool[5,7,1] c", "float[5,7,33] y"),
        "g = Gather(w, i) n = Neg(g) y = Where(c, g, n)",
        *((50, 33), 0),
    ),
    "booleans": (
        *("float[5,37] x, bool[5,37] c, bool[5,1] d", "bool[5,37] y, float[5,37] z"),
        "g = Greater(x, zero) n = Not(c) a = And(g, n) y = Or(a, d) z = Where(y, x, six)",
        *((), 0),
    ),
    "bytes": (
        *("float[5,37] x, uint8[5,37] u, int8[37] n", "uint8[5,37] y, int8[37] z, float[5,1] r"),
        "q = QuantizeLinear(x, scale, point) y = Max(q, u) z = Add(n, n) d = Cast<to=1>(u) "
        "r = ReduceSum(d, axis)",
        *((), 0),
    ),
    "short integers": ("int16[5,37] n", "int16[5,37] y", "y = Add(n, n)", (), 0),
    "convolution and mask": (
        *("float[1,17,13,13] x, bool[1,1,13,13] k", "float[1,58,13,13] y"),
        "c = Conv<pads=[1,1,1,1]>(x, w, b) y = Where(k, c, zero)",
        *((58, 17, 3, 3), 58),
    ),
    "moves": (
        *("float[2,6,5,7] x", "float[5,21] y, float[2,6,5,7] z"),
        "p = Pad(x, pads) t = Transpose<perm=[2,0,1,3]>(p) q = Reshape(t, shape) "
        "y = Slice(q, from, to, one) z = Neg(x)",
        *((), 0),
    ),
}
CONSTANTS = {
    "zero": np.float32(0),
    "scale": np.float32(0.02),
    "point": np.uint8(128),
    "axis": np.array([1]),
    "six": np.float32(6),
    "pads": np.array([0, 0, 0, 1, 0, 0, 0, 0]),
    "shape": np.array([5, 96]),
    "from": np.array([3]),
    "to": np.array([24]),
    "one": np.array([1]),
    "groups": np.array([1, 2, 18, 5, 7]),
    "joined": np.array([1, 36, 5, 7]),
    "parts": np.array([12, 24]),
    "none": np.zeros(0, np.float32),
    "size": np.array([1, 5, 17, 70]),
    # Rows of zeros, of the lowest number, and of minus infinity.
    "mask": np.repeat(np.float32([0, np.finfo(np.float32).min, -np.inf]), [5, 7, 5])[:, None],
}


def model_of(name: str) -> Any:
    inputs, outputs, nodes, weight, bias = CASES[name]
    words = set("".join(c if c.isalnum() else " " for c in nodes).split())
    weights = {key: value for key, value in CONSTANTS.items() if key in words}
    if weight:
        fan_in = np.prod(weight[1:]) if len(weight) == 4 else weight[0]
        weights["w"] = normal(*weight) / np.sqrt(np.float32(fan_in))
    if bias:
        weights["b"] = normal(bias)
    return make_model(f"g ({inputs}) => ({outputs}) {{ {nodes} }}", weights)


def random_decision(task: Task, opencl: bool, rng: random.Random) -> Decision:
    grids = {Axis.ROWS: task.rows, Axis.CHANNELS: task.channels}
    axes = [axis for axis, grid in grids.items() if grid.extent > 1 and opencl]
    axis = rng.choice(axes or [Axis.ROWS])
    cut = grids[axis].legal_cut(rng.randint(0, grids[axis].extent))
    places = [Place.CPU] + [Place.GPU] * opencl + [Place.SPLIT] * 4 * bool(axes)
    return Decision(task.name, rng.choice(places), axis, cut)


def random_plan(graph: TaskGraph, seed: int) -> Plan:
    rng = random.Random(seed)
    decisions = [
        random_decision(task, graph.kernels[task.kernel].opencl, rng) for task in graph.tasks
    ]
    return Plan(f"random{seed}", tuple(decisions))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For compiled models; skips where no OpenCL device serves."""
    if not DEVICES:
        skip_or_fail("no OpenCL device that serves")
    return tmp_path_factory.mktemp("opencl")


@pytest.mark.parametrize("device_class", ["cpu-like", "gpu"])
@pytest.mark.parametrize("name", CASES)
def test_opencl(name: str, device_class: str, folder: Path) -> None:
    model = model_of(name)
    path = folder / f"{name.replace(' ', '_')}-{device_class}.so"
    options = CompileOptions(plan="gpu", device_class=device_class)
    hetcomp.compile(model, output=path, options=options)
    feeds = random_feeds(model)
    if "i" in feeds:
        feeds["i"] = np.random.default_rng(0).integers(-50, 50, feeds["i"].shape)
    tolerance = POINTWISE if "norm" in name else MATRIX
    with hetcomp.load(path, quiet=True) as session:
        assert session.status().tier == "svm-ahead", session.status().why_no_gpu
        assert {d.place for d in session.image.plans[0].decisions} == {Place.GPU}
        names = [info.name for info in session.outputs]
        expected = dict(zip(names, reference(model, feeds), strict=True))
        whole = session.run(feeds)
        session.use_plan("cpu")
        on_cpu = session.run(feeds)
        for output in names:
            assert_close(whole[output], expected[output], tolerance)
            assert_close(on_cpu[output], whole[output], tolerance)
        for seed in range(RANDOM_PLANS):
            plan = random_plan(session.graph, seed)
            session.set_table(make_table(session.graph, plan))
            shared = session.run(feeds)
            for output in names:
                assert_close(shared[output], expected[output], tolerance)
        assert (session.status().fallbacks, session.status().timeouts) == (0, 0)


def test_optional_types_stay_on_the_cpu(folder: Path) -> None:
    """One kernel that a device cannot build would cost the model the whole device."""
    text = """g (double[5,37] x, float[5,37] z) => (double[5,37] y, float[5,37] t) {
        y = Neg(x) t = Tanh(z) }"""
    model = make_model(text)
    path = folder / "double.so"
    hetcomp.compile(model, output=path, options=CompileOptions(plan="gpu"))
    feeds = random_feeds(model)
    with hetcomp.load(path, quiet=True) as session:
        assert session.status().tier == "svm-ahead", session.status().why_no_gpu
        reasons = [kernel.why_no_opencl for kernel in session.graph.kernels]
        assert sorted(map(bool, reasons)) == [False, True]
        assert any("not every OpenCL device" in reason for reason in reasons)
        got = session.run(feeds)
        for value, expected in zip(got.values(), reference(model, feeds), strict=True):
            assert_close(value, expected, POINTWISE)
