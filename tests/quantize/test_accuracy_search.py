"""The search for operators that lose accuracy, and errors against NumPy."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from calibrated_models import PLANTED, SHAPE, chain, made, samples

from hetcomp.frontend import import_onnx
from hetcomp.quantize import (
    DeviationSum,
    Limits,
    TaskValue,
    calibrate,
    deviations,
    find_culprits,
    float_model,
    quantize,
    task_values,
)
from hetcomp.quantize.network import Network
from hetcomp.quantize.operators import operators
from hetcomp.quantize.switched import SwitchedNetwork

COUNT = 3
FEEDS = [{"x": array.reshape(SHAPE)} for array in samples(COUNT)["x"]]


def silent(_text: str, _part: float) -> None:
    """Reports nothing."""


def test_a_planted_operator_is_named() -> None:
    """What makes and what reads the huge channel are named, first and alone."""
    model = float_model(import_onnx(chain(planted=True)))
    ranges = calibrate(model, FEEDS)
    said: list[tuple[str, float]] = []
    search = find_culprits(model, ranges, (), FEEDS, lambda *what: said.append(what))
    assert {culprit.name for culprit in search.culprits} == set(PLANTED)
    assert search.culprits[-1].left_db > search.all_db + 15.0
    assert max(culprit.alone_db for culprit in search.culprits) < search.all_db + 3.0
    assert search.samples == COUNT
    assert len(said) == search.trials < 20
    assert all(0.0 <= part <= 1.0 for _, part in said)
    repaired = find_culprits(model, ranges, PLANTED, FEEDS, silent, Limits(found=1))
    assert math.isclose(repaired.all_db, search.culprits[-1].left_db, abs_tol=1e-6)


def test_it_keeps_to_its_limits() -> None:
    model = float_model(import_onnx(chain()))
    ranges = calibrate(model, FEEDS)
    few = find_culprits(model, ranges, (), FEEDS[:1], silent, Limits(trials=6))
    assert few.trials <= 6
    assert "6 networks" in few.stopped
    none = find_culprits(model, ranges, (), FEEDS[:1], silent, Limits(seconds=0.0))
    assert (none.trials, none.culprits) == (1, ())
    assert "0 s" in none.stopped


def test_deviation_of_arrays() -> None:
    rng = np.random.default_rng(0)
    pairs = [rng.standard_normal((2, 5)).astype(np.float32) for _ in range(4)]
    total = DeviationSum()
    total.add(pairs[0], pairs[1])
    total.add(pairs[2], pairs[3])
    x, q = (np.concatenate(pairs[start::2]).astype(np.float64) for start in (0, 1))
    found = total.result()
    assert math.isclose(found.sqnr_db, 10 * math.log10((x**2).sum() / ((x - q) ** 2).sum()))
    assert found.max_error == np.abs(x - q).max()
    assert found.relative_error == np.abs(x - q).max() / np.abs(x).max()


def test_deviation_without_error_or_signal() -> None:
    zero, one = np.zeros(3, np.float32), np.ones(3, np.float32)
    same, silent_signal, infinite = DeviationSum(), DeviationSum(), DeviationSum()
    same.add(one, one)
    assert (same.result().sqnr_db, same.result().relative_error) == (math.inf, 0.0)
    silent_signal.add(zero, one)
    assert silent_signal.result().sqnr_db == -math.inf
    infinite.add(np.array([-np.inf, 1.0]), np.array([-np.inf, 1.0]))
    assert infinite.result().sqnr_db == math.inf


def test_values_of_the_quantised_model() -> None:
    """Errors of tensors are those of arrays that ONNX Runtime gives as outputs."""
    import onnxruntime

    model = float_model(import_onnx(chain()))
    ranges = calibrate(model, FEEDS)
    quantized = quantize(model, ranges)
    makers = {name: node.name for node in quantized.graph.node for name in node.output}
    sources = [("x_QuantizeLinear",), ("r2_QuantizeLinear",), ("node_p",), (), ("head",)]
    assert {"x_QuantizeLinear", "r2_QuantizeLinear", "node_p", "head"} <= set(makers.values())
    values = task_values(model, quantized, sources)
    assert values[3] is None
    named = [value for value in values if value is not None]
    assert [value.float_name for value in named] == ["x", "r2", "p", "y"]
    assert [value.quantized for value in named] == [True, True, False, False]
    found = deviations(model, quantized, named, FEEDS)

    def all_values(source: onnx.ModelProto, names: list[str]) -> list[Any]:
        extended = onnx.ModelProto()
        extended.CopyFrom(source)
        known = {output.name for output in source.graph.output}
        extended.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in names if name not in known
        )
        session = onnxruntime.InferenceSession(extended.SerializeToString())
        return [session.run(names, feed) for feed in FEEDS]

    inner = [value for value in named if value.float_name in ("r2", "p")]
    expected = all_values(model, [value.float_name for value in inner])
    got = all_values(quantized, [value.name for value in inner])
    for place, value in enumerate(inner):
        total = DeviationSum()
        for x, q in zip(expected, got, strict=True):
            total.add(x[place], q[place])
        assert math.isclose(found[value].sqnr_db, total.result().sqnr_db, abs_tol=0.05)
        assert found[value].sqnr_db > 15.0
    assert found[TaskValue("x", named[0].name, True)].sqnr_db > 40.0


def residual() -> onnx.ModelProto:
    """Tensors with several readers, a bias, a constant addend, and an output that is read too."""
    rng = np.random.default_rng(2)
    shapes = {
        "w0": (8, 3, 3, 3),
        "w1": (8, 8, 3, 3),
        "w2": (8, 8, 1, 1),
        "b": (8,),
        "c": (1, 8, 1, 1),
    }
    weights = {name: rng.standard_normal(dims).astype(np.float32) for name, dims in shapes.items()}
    return made(
        f"""g (float[{",".join(map(str, SHAPE))}] x) => (float[1,8,12,12] s, float[1,8,6,6] y) {{
            a = Conv<pads=[1,1,1,1]>(x, w0, b) r = Relu(a) d = Conv<pads=[1,1,1,1]>(r, w1)
            e = Add(d, c) s = Add(e, r) t = Relu(s) m = MaxPool<kernel_shape=[2,2],
            strides=[2,2]>(t) u = Conv(m, w2) v = Sigmoid(u) y = Mul(v, m) }}""",
        weights,
    )


@pytest.mark.parametrize("build", [residual, chain], ids=["residual", "chain"])
def test_switches_are_the_quantisers_exclusions(build: Callable[[], onnx.ModelProto]) -> None:
    """Any operators switched on: what the quantiser makes with the others excluded."""
    model = float_model(import_onnx(build()))
    ranges = calibrate(model, FEEDS)
    names = [node.name for node in operators(model)]
    network = SwitchedNetwork(model, ranges)
    seed = 3
    rng = random.Random(seed)
    for trial in range(8):
        chosen = [name for name in names if rng.random() < 0.5]
        rest = set(names).difference(chosen)
        wanted = Network(quantize(model, ranges, rest))
        expected = wanted.run(FEEDS[0], wanted.outputs)
        for name, got in network.run(FEEDS[0], chosen).items():
            limit = 1e-5 * float(np.abs(expected[name]).max())
            np.testing.assert_allclose(
                got,
                expected[name],
                rtol=0,
                atol=limit,
                err_msg=f"seed {seed}, trial {trial}, {name}",
            )
