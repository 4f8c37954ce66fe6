"""Networks in half precision give ONNX Runtime's float32 outputs within the formats' roundings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import assert_close

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import reference_outputs
from hetcomp.options import CompileOptions

NETWORKS = ("resnet18", "mobilenetv2", "bert_tiny", "squeezenet")
TOLERANCE = {"f16": 4e-3, "bf16": 3e-2}
"""Of the largest output: 8 roundings. Errors of layers add up like those of a random walk, and
normalisation keeps them from growing; 0.6e-3 to 1.5e-3 and 5e-3 to 16e-3 were measured."""


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs(name: str, precision: str, tmp_path: Path) -> None:
    model = zoo.build(name, **zoo.small_size(name))
    onnx.save(model, tmp_path / "model.onnx")
    options = CompileOptions(plan="cpu", gpu=False, precision=precision)
    artifact = hetcomp.compile(model, output=tmp_path / "model.so", options=options)
    kept = {"f16": "float16", "bf16": "uint16"}[precision]
    halves = [t.size_bytes for t in artifact.graph.tensors if t.dtype == kept]
    assert sum(halves) > 0.8 * sum(t.size_bytes for t in artifact.graph.tensors) / 2
    feeds = zoo.random_inputs(model)
    expected = reference_outputs(tmp_path / "model.onnx", feeds)
    with hetcomp.load(tmp_path / "model.so", quiet=True) as session:
        got = session.run(feeds)
    assert all(array.dtype == np.float32 for array in got.values())
    assert_close(got, expected, precision, TOLERANCE[precision])
