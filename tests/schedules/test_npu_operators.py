"""The NPU's reference driver, bit for bit against NumPy's integers: every kind of operator.

Several layers share a model.so, because linking one takes longer than running them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_harness import Array, make_model, reference
from quantized_layers import attention_products, conv_layers, linear_layers
from quantized_models import Grid, QuantizedLayer

import hetcomp
from hetcomp.options import CompileOptions
from hetcomp.plan.plan import Place

SETTINGS = settings(
    max_examples=2,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
LAYERS = 6


@dataclass(frozen=True)
class Case:
    """A model with one output, what it is fed, and what NumPy makes of it."""

    model: onnx.ModelProto
    feeds: Mapping[str, Array]
    expected: Array


def of_layer(layer: QuantizedLayer) -> Case:
    return Case(layer.model(), {"x": layer.x}, layer.oracle())


def of_product(drawn: tuple[onnx.ModelProto, dict[str, Array], Array]) -> Case:
    return Case(*drawn)


def joined(cases: Sequence[Case]) -> onnx.ModelProto:
    """One model of all, names of case i beginning with `c<i>_`."""
    models = [onnx.compose.add_prefix(case.model, f"c{i}_") for i, case in enumerate(cases)]
    whole = models[0]
    for model in models[1:]:
        for field in ("node", "input", "output", "initializer"):
            getattr(whole.graph, field).extend(getattr(model.graph, field))
    return whole


def check(cases: Sequence[Case], path: Path, kinds: set[str]) -> None:
    """All tasks run on the NPU, among them such kinds, and give NumPy's bits."""
    options = CompileOptions(plan="npu", gpu=False, strict=True)
    artifact = hetcomp.compile(joined(cases), output=path, options=options)
    assert {decision.place for decision in artifact.plan.decisions} == {Place.NPU}
    assert kinds <= {task.kind for task in artifact.graph.tasks}
    feeds = {f"c{i}_{name}": a for i, case in enumerate(cases) for name, a in case.feeds.items()}
    with hetcomp.load(path, quiet=True) as session:
        got = session.run(feeds)
        status = session.status()
    assert (status.npu, status.why_no_npu, status.npu_fallbacks) == ("reference", "", 0)
    for i, case in enumerate(cases):
        np.testing.assert_array_equal(got[f"c{i}_y"], case.expected, err_msg=f"case {i}")


def lists_of(cases: Any) -> Any:
    return st.lists(cases, min_size=LAYERS, max_size=LAYERS)


@SETTINGS
@given(layers=lists_of(conv_layers()))
def test_convolutions(layers: list[QuantizedLayer], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("npu") / "model.so"
    check([of_layer(layer) for layer in layers], path, set())


@SETTINGS
@given(layers=lists_of(linear_layers()), products=lists_of(attention_products()))
def test_products(layers: list[QuantizedLayer], products: list[Any], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("npu") / "model.so"
    cases = [*map(of_layer, layers), *map(of_product, products)]
    check(cases, path, {"linear", "matmul"})


def grid(scale: float, zero_point: int, dtype: str = "uint8") -> Grid:
    return Grid(np.float32(scale), np.asarray(zero_point), dtype)


def integers(dtype: str, *shape: int) -> Array:
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(sum(shape))
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def sum_of_two() -> Case:
    """`a * (scale_a / scale_y) + (b * (scale_b / scale_y) + constant)`, each sum rounded once."""
    grids = {"a": grid(0.013, 117), "b": grid(0.021, 3), "y": grid(0.03, 90)}
    a, b = integers("uint8", 1, 5, 4, 3), integers("uint8", 1, 5, 4, 3)[:, ::-1]
    ratios = {key: np.float32(grids[key].scale) / np.float32(grids["y"].scale) for key in "ab"}
    second = np.float32(ratios["b"] * np.float32(3))
    moved = np.float32(float(ratios["a"]) * 117.0 + float(second))
    offset = float(np.float32(90) - moved)
    inner = (b.astype(np.float64) * float(ratios["b"]) + offset).astype(np.float32)
    total = (a.astype(np.float64) * float(ratios["a"]) + inner).astype(np.float32)
    text = (
        "g (uint8[1,5,4,3] a, uint8[1,5,4,3] b) => (uint8[1,5,4,3] y) "
        f"{{ ad = DequantizeLinear(a, {grids['a'].arguments('a')}) "
        f"bd = DequantizeLinear(b, {grids['b'].arguments('b')}) s = Add(ad, bd) "
        f"y = QuantizeLinear(s, {grids['y'].arguments('y')}) }}"
    )
    weights = {k: v for name, g in grids.items() for k, v in g.weights(name).items()}
    expected = np.clip(np.rint(total), 0, 255).astype(np.uint8)
    return Case(make_model(text, weights), {"a": a, "b": b}, expected)


def moved(operator: str, x: Array, expected: Array) -> Case:
    """`operator` on a dequantised tensor, back on its grid: nothing is rounded."""
    own = grid(0.5, 7)
    dims, out = (",".join(map(str, array.shape)) for array in (x, expected))
    text = (
        f"g (uint8[{dims}] x) => (uint8[{out}] y) {{ d = DequantizeLinear(x, "
        f"{own.arguments('x')}) m = {operator} y = QuantizeLinear(m, {own.arguments('x')}) }}"
    )
    return Case(make_model(text, own.weights("x")), {"x": x}, expected)


def largest(x: Array, window: int, stride: int, pad: int) -> Array:
    """Maximum pooling; what is outside does not count."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    size = (padded.shape[2] - window) // stride + 1
    return np.stack(
        [
            padded[:, :, i : i + stride * size : stride, j : j + stride * size : stride][
                :, :, :size, :size
            ]
            for i in range(window)
            for j in range(window)
        ]
    ).max(axis=0)


def moves() -> list[Case]:
    x = integers("uint8", 2, 5, 9, 9)
    pads = ",".join("1" * 4)
    pool = f"MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[{pads}]>(d)"
    return [
        moved(pool, x, largest(x, 3, 2, 1)),
        moved("Concat<axis=1>(d, d)", x, np.concatenate([x, x], axis=1)),
        moved("Transpose<perm=[0,2,3,1]>(d)", x, np.ascontiguousarray(x.transpose(0, 2, 3, 1))),
        moved("Relu(d)", x, np.maximum(x, np.uint8(7))),
    ]


def requantised() -> Case:
    """From one grid to another: a multiplication by the ratio of the scales."""
    x, one, other = integers("int8", 3, 40), grid(0.04, -9, "int8"), grid(0.07, 31)
    ratio = np.float32(one.scale) / np.float32(other.scale)
    scaled = (x.astype(np.int32) + 9).astype(np.float32) * ratio
    expected = np.clip(np.rint(scaled) + 31, 0, 255).astype(np.uint8)
    text = (
        f"g (int8[3,40] x) => (uint8[3,40] y) {{ d = DequantizeLinear(x, {one.arguments('x')}) "
        f"y = QuantizeLinear(d, {other.arguments('y')}) }}"
    )
    weights = one.weights("x") | other.weights("y")
    return Case(make_model(text, weights), {"x": x}, expected)


def averaged(x: Array, window: int, stride: int, pad: int, *, counts_pad: bool) -> Array:
    """Average pooling in integers, on the same grid: one rounding a window, half to even."""
    around = ((0, 0), (0, 0), (pad, pad), (pad, pad))
    centred = np.pad(x.astype(np.int64) - 7, around)
    inside = np.pad(np.ones(x.shape, np.int64), around, constant_values=int(counts_pad))
    windows = (
        np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(2, 3))
        for padded in (centred, inside)
    )
    total, count = (w[:, :, ::stride, ::stride].sum(axis=(4, 5)) for w in windows)
    return np.clip(np.rint(total / count) + 7, 0, 255).astype(np.uint8)


def averages() -> list[Case]:
    """Of windows with and without padding, of whole maps, of odd counts so that none is a tie."""
    x = integers("uint8", 2, 5, 9, 9)
    pool = "AveragePool<kernel_shape=[3,3], strides=[2,2]"
    whole = averaged(x, 9, 1, 0, counts_pad=True)
    return [
        moved(f"{pool}>(d)", x, averaged(x, 3, 2, 0, counts_pad=True)),
        moved(
            f"{pool}, pads=[1,1,1,1], count_include_pad=1>(d)",
            x,
            averaged(x, 3, 2, 1, counts_pad=True),
        ),
        moved("GlobalAveragePool(d)", x, whole),
        moved("ReduceMean<axes=[2,3], keepdims=0>(d)", x, whole[:, :, 0, 0]),
    ]


def test_averages(tmp_path: Path) -> None:
    check(averages(), tmp_path / "model.so", {"depthwise", "rowwise"})


def test_averages_of_windows_of_several_sizes(tmp_path: Path) -> None:
    """At the edges, without the padding, 4 and 6 are counted: ties, where a quantum is free."""
    x, path = integers("uint8", 2, 5, 9, 9), tmp_path / "model.so"
    expected = averaged(x, 3, 2, 1, counts_pad=False)
    case = moved("AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(d)", x, expected)
    options = CompileOptions(plan="npu", gpu=False, strict=True)
    hetcomp.compile(case.model, output=path, options=options)
    with hetcomp.load(path) as session, hetcomp.load(path, plan="cpu") as cpu:
        got = session.run(case.feeds)["y"]
        np.testing.assert_array_equal(got, cpu.run(case.feeds)["y"])
    (onnx_runtime,) = reference(case.model, case.feeds)
    for want in (expected, onnx_runtime):
        off = np.abs(got.astype(int) - want)
        assert off.max() <= 1
        assert (off > 0).mean() < 0.1
        assert (off[:, :, 1:-1, 1:-1] == 0).all()


def test_maps_and_reductions(tmp_path: Path) -> None:
    check([sum_of_two(), requantised(), *moves()], tmp_path / "model.so", {"rowwise"})


@pytest.mark.parametrize("activation", ["Sigmoid(d)", "Erf(d)", "Tanh(d)"])
def test_activations(activation: str, tmp_path: Path) -> None:
    """The NPU's bits are the CPU's, and within a quantum of the function."""
    x, own, out = integers("uint8", 4, 64), grid(0.04, 128), grid(1 / 128, 128)
    text = (
        f"g (uint8[4,64] x) => (uint8[4,64] y) {{ d = DequantizeLinear(x, {own.arguments('x')}) "
        f"a = {activation} y = QuantizeLinear(a, {out.arguments('y')}) }}"
    )
    model = make_model(text, own.weights("x") | out.weights("y"))
    path = tmp_path / "model.so"
    hetcomp.compile(model, output=path, options=CompileOptions(plan="npu", gpu=False, strict=True))
    with hetcomp.load(path) as session, hetcomp.load(path, plan="cpu") as cpu:
        got = session.run({"x": x})["y"]
        np.testing.assert_array_equal(got, cpu.run({"x": x})["y"])
        assert session.status().npu_fallbacks == 0
    (expected,) = reference(model, {"x": x})
    assert np.abs(got.astype(int) - expected).max() <= 1
