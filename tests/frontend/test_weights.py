"""Large weights are references into mapped files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hetcomp.errors import ModelError
from hetcomp.frontend import import_onnx
from hetcomp.frontend.weights import Weights, is_reference
from hetcomp.frontend.wire import LARGE_BYTES
from hetcomp.passes.relax_values import constant, constant_value

BODY = "g (float[2,256] x) => (float[2,256] y) { t = MatMul (x, w) y = Add (t, b) }"
ARRAYS = {
    "w": np.arange(256 * 256, dtype=np.float32).reshape(256, 256) / 65536,
    "b": np.ones(256, np.float32),
}


def _weights(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


@pytest.mark.parametrize("external", [False, True])
def test_large_weights_of_a_file_are_mapped(tmp_path: Path, parse: Any, external: bool) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(parse(BODY, weights=ARRAYS), path, save_as_external_data=external, size_threshold=0)
    weights = Weights()
    model = weights.parse_file(path)
    weights.resolve_external(model, tmp_path)
    found = _weights(model)
    assert {name: is_reference(t) for name, t in found.items()} == {"w": True, "b": False}
    assert model.ByteSize() < LARGE_BYTES
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(weights.array(found[name]), array)
        weights.release()
        np.testing.assert_array_equal(weights.array(found[name]), array)


def test_given_bytes_are_kept_when_memory_is_released(parse: Any) -> None:
    weights = Weights()
    model = weights.parse_bytes(parse(BODY, weights=ARRAYS).SerializeToString())
    weights.release()
    np.testing.assert_array_equal(weights.array(_weights(model)["w"]), ARRAYS["w"])


def test_inlined_weight_is_the_original(parse: Any) -> None:
    source = parse(BODY, weights=ARRAYS)
    weights = Weights()
    model = weights.parse_bytes(source.SerializeToString())
    for tensor in model.graph.initializer:
        assert weights.inline(tensor) == _weights(source)[tensor.name]


def test_every_form_of_a_model_computes_the_same(
    tmp_path: Path, parse: Any, execute: Any, reference: Any
) -> None:
    model = parse(BODY, weights=ARRAYS)
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    feeds = {"x": np.linspace(-1, 1, 512, dtype=np.float32).reshape(2, 256)}
    for source in (model, model.SerializeToString(), path):
        result = execute(import_onnx(source), feeds)[0]
        np.testing.assert_allclose(result, reference(model, feeds)[0], rtol=1e-5)


def test_external_weight_outside_the_folder_is_refused(tmp_path: Path, parse: Any) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    onnx.save(
        parse(BODY, weights=ARRAYS), inner / "net.onnx", save_as_external_data=True,
        location="net.data", size_threshold=0,
    )  # fmt: skip
    (inner / "net.data").rename(tmp_path / "net.data")
    model = onnx.load(inner / "net.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        place = next(entry for entry in tensor.external_data if entry.key == "location")
        place.value = "../net.data"
    (inner / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="external files"):
        import_onnx(inner / "net.onnx")


def test_shortened_external_file_is_refused(tmp_path: Path, parse: Any) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(parse(BODY, weights=ARRAYS), path, save_as_external_data=True, location="net.data")
    data = tmp_path / "net.data"
    data.write_bytes(data.read_bytes()[:-100_000])
    with pytest.raises(ModelError, match="shorter"):
        import_onnx(path)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8", "bool", "float16"])
@pytest.mark.parametrize("extent", [3, 400])
def test_constants_keep_value_and_type(dtype: str, extent: int) -> None:
    array = (np.arange(extent * extent) % 100).reshape(extent, extent).astype(dtype)
    found = constant_value(constant(array.T))
    assert found is not None
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array.T)


def test_large_constants_share_memory() -> None:
    array = np.zeros((256, 256), np.float32)
    found = constant_value(constant(array.T))
    assert found is not None
    assert np.shares_memory(found, array)
