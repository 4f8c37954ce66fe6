"""Quantising a float model: ONNX Runtime's own function gives the same, whatever the samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from calibrated_models import SHAPE, chain, made, samples, write
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from hetcomp.errors import InputError, ModelError
from hetcomp.frontend import import_onnx
from hetcomp.quantize import calibrate, float_model, quantize
from hetcomp.quantize.exclusions import exclusions


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands out prepared samples."""

    def __init__(self, feeds: list[dict[str, Any]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def run(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return list(session.run(None, feeds))


def feeds_of(arrays: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"x": array.reshape(SHAPE)} for array in arrays["x"]]


def constants(model: onnx.ModelProto) -> dict[str, Any]:
    return {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}


def test_equals_onnxruntimes_own_function(tmp_path: Path) -> None:
    path, _ = write(tmp_path, chain(), samples(1))
    feeds = feeds_of(samples(5))
    quantize_static(
        path,
        tmp_path / "theirs.onnx",
        Reader(feeds),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add", "Relu", "Clip"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    theirs = onnx.load(tmp_path / "theirs.onnx")
    model = float_model(import_onnx(path))
    ours = quantize(model, calibrate(model, feeds))
    found, wanted = constants(ours), constants(theirs)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    np.testing.assert_array_equal(run(ours, feeds[0])[0], run(theirs, feeds[0])[0])


def test_ranges_are_those_of_all_samples() -> None:
    model = float_model(import_onnx(chain()))
    feeds = feeds_of(samples(3))
    single = [calibrate(model, [feed]) for feed in feeds]
    together = calibrate(model, feeds)
    assert together.keys() == single[0].keys()
    for name, (low, high) in together.items():
        assert low == min(ranges[name][0] for ranges in single)
        assert high == max(ranges[name][1] for ranges in single)


def test_kept_in_float() -> None:
    model = float_model(import_onnx(chain()))
    ranges = calibrate(model, feeds_of(samples(1)))
    names = [node.name for node in model.graph.node if node.op_type in ("Conv", "MatMul")]
    nothing = quantize(model, ranges, names)
    assert "QuantizeLinear" not in {node.op_type for node in nothing.graph.node}
    some = {node.name: node for node in quantize(model, ranges, ["conv3"]).graph.node}
    assert some["conv3"].input[1] == "w3"
    assert some["conv2"].input[1] != "w2"


def test_batch_normalisations_are_folded() -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(4).astype(np.float32) for name in ("s", "b", "m")}
    arrays["v"] = rng.random(4).astype(np.float32) + np.float32(0.1)
    arrays["w"] = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    arrays["c"] = rng.standard_normal(4).astype(np.float32)
    shape = ",".join(map(str, SHAPE))
    nodes = "a = Conv(x, w, c) n = BatchNormalization<epsilon=0.01>(a, s, b, m, v) y = Relu(n)"
    model = made(f"g (float[{shape}] x) => (float[1,4,10,10] y) {{ {nodes} }}", arrays)
    folded = float_model(import_onnx(model))
    assert [node.op_type for node in folded.graph.node] == ["Conv", "Relu"]
    feeds = feeds_of(samples(1))[0]
    expected = run(model, feeds)[0]
    tolerance = 1e-5 * float(np.abs(expected).max())
    np.testing.assert_allclose(run(folded, feeds)[0], expected, rtol=0, atol=tolerance)


def test_values_that_are_not_finite_stay_float() -> None:
    """A mask of minus infinity has no scale; what adds it is left alone, all else is quantised."""
    rng = np.random.default_rng(0)
    mask = np.triu(np.full((6, 6), -np.inf, np.float32), 1)
    weights = {"w": rng.standard_normal((4, 4)).astype(np.float32), "mask": mask}
    nodes = "q = MatMul(x, w) t = Transpose<perm=[1,0]>(x) s = MatMul(q, t) m = Add(s, mask) "
    model = made(f"g (float[6,4] x) => (float[6,6] y) {{ {nodes} y = Softmax(m) }}", weights)
    model = float_model(import_onnx(model))
    feeds = {"x": rng.standard_normal((6, 4)).astype(np.float32)}
    ranges = calibrate(model, [feeds])
    adds = [node.name for node in model.graph.node if node.op_type == "Add"]
    found = exclusions(model, ranges)
    assert list(found) == adds
    assert "not finite" in found[adds[0]]
    got, expected = run(quantize(model, ranges), feeds)[0], run(model, feeds)[0]
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.05)


def test_sums_for_floats_stay_float() -> None:
    """A mask on a grid with the scores would leave one score; what a product reads is quantised."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((4, 6)).astype(np.float32),
        "bias": rng.standard_normal((6, 6)).astype(np.float32),
        "mask": np.triu(np.full((6, 6), -1e4, np.float32), 1),
    }
    nodes = "q = MatMul(x, w) b = Add(q, bias) m = Add(b, mask) s = Softmax(m) y = MatMul(s, b)"
    text = f"g (float[6,4] x) => (float[6,6] y) {{ {nodes} }}"
    model = float_model(import_onnx(made(text, weights)))
    feeds = {"x": rng.standard_normal((6, 4)).astype(np.float32)}
    ranges = calibrate(model, [feeds])
    found = exclusions(model, ranges)
    (masked,) = (node.name for node in model.graph.node if node.output[0] == "m")
    assert list(found) == [masked]
    assert found[masked] == "only operators in float read it"
    expected = run(model, feeds)[0]
    errors = [
        float(np.abs(run(quantize(model, ranges, kept), feeds)[0] - expected).max())
        for kept in ((), found)
    ]
    limit = 0.02 * float(np.abs(expected).max())
    assert errors[1] < limit < 5 * limit < errors[0]


def test_older_operator_sets() -> None:
    """Before 13 QuantizeLinear has no axis, so that weights could not be per channel."""
    weights = {"w": np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)}
    shape = ",".join(map(str, SHAPE))
    text = f"g (float[{shape}] x) => (float[1,4,10,10] y) {{ y = Conv(x, w) }}"
    model = float_model(import_onnx(made(text, weights, opset=11)))
    feeds = feeds_of(samples(1))[0]
    quantized = quantize(model, calibrate(model, [feeds]))
    expected = run(model, feeds)[0]
    error = np.abs(run(quantized, feeds)[0] - expected).max()
    assert 0.0 < error < 0.02 * np.abs(expected).max()


def test_refused() -> None:
    model = float_model(import_onnx(chain()))
    quantized = quantize(model, calibrate(model, feeds_of(samples(1))))
    with pytest.raises(InputError, match="is quantised already"):
        float_model(import_onnx(quantized))
    out_of_range = made(
        "g (int64[1] x) => (float[1,4] y) { e = Gather(w, x) y = MatMul(e, v) }",
        {"w": np.ones((3, 4), np.float32), "v": np.eye(4, dtype=np.float32)},
    )
    with pytest.raises(ModelError, match="cannot run sample 1"):
        calibrate(float_model(import_onnx(out_of_range)), [{"x": np.array([7])}])
    relu = made("g (float[2,2] x) => (float[2,2] y) { y = Sigmoid(x) }", {})
    with pytest.raises(InputError, match="no float32 operator that can be quantised"):
        float_model(import_onnx(relu))
