"""Zoo networks in QDQ form: every quantised value is ONNX Runtime's (see onnxruntime_values.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime_values import assert_same_values, onnxruntime_values
from quantized_outputs import with_quantized_outputs

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.zoo.quantize import quantize
from hetcomp.options import CompileOptions
from hetcomp.plan.plan import Axis, Place
from hetcomp.plan.planners import fixed_split, single
from hetcomp.plan.steps import make_table

SMALL: dict[str, dict[str, Any]] = {
    "resnet50": {"size": 64},
    "mobilenetv2": {"size": 64},
    "bert_tiny": {"size": 128},
    "squeezenet": {"size": 64},
    "shufflenetv2": {"size": 64},
}
WITH_FLOATS = {"squeezenet"}


@pytest.mark.parametrize("name", SMALL)
def test_every_quantised_value(name: str, tmp_path: Path) -> None:
    model = with_quantized_outputs(zoo.build(name, qdq=True, **SMALL[name]))
    feeds = zoo.random_inputs(model)
    path = tmp_path / "model.so"
    hetcomp.compile(model, output=path, options=CompileOptions(plan="cpu", gpu=False))
    with hetcomp.load(path, quiet=True) as session:
        got = session.run(feeds)
    expected = onnxruntime_values(model, feeds)
    assert_same_values(got, expected, exact=name not in WITH_FLOATS)


def small_network() -> onnx.ModelProto:
    """An inverted residual and a classifier: few kernels, for OpenCL's compiler takes its time."""
    rng = np.random.default_rng(0)
    shapes = {"w0": (16, 3, 3, 3), "w1": (16, 1, 3, 3), "w2": (16, 16, 1, 1), "w3": (1024, 24)}
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,3,16,16] x) => (float[1,24] y) {
            a = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w0) r = Relu(a)
            d = Conv<pads=[1,1,1,1], group=16>(r, w1) e = Relu(d)
            p = Conv(e, w2) s = Add(p, r) f = Flatten(s) y = MatMul(f, w3) }""")
    for name, shape in shapes.items():
        weights = rng.standard_normal(shape).astype(np.float32) / np.float32(4)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return quantize(onnx.shape_inference.infer_shapes(model))


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize("device_class", ["cpu-like", "gpu"])
def test_shared_with_opencl(device_class: str, tmp_path: Path) -> None:
    """The same bits on the device, on both by rows, and on both by channels."""
    model = small_network()
    feeds = zoo.random_inputs(model)
    options = CompileOptions(plan="gpu", device_class=device_class)
    graph = hetcomp.compile(model, output=tmp_path / "model.so", options=options).graph
    assert all(kernel.opencl for kernel in graph.kernels)
    assert all((kernel.items == (1, 1)) == (device_class == "cpu-like") for kernel in graph.kernels)
    expected = onnxruntime_values(model, feeds)
    plans = (
        *(single(graph, Place.GPU), fixed_split(graph, 0.5, Axis.ROWS)),
        fixed_split(graph, 0.4, Axis.CHANNELS),
    )
    with hetcomp.load(tmp_path / "model.so", quiet=True) as session:
        for plan in plans:
            session.set_table(make_table(graph, plan))
            got = session.run(feeds)
            for name, want in expected.items():
                np.testing.assert_array_equal(got[name], want, err_msg=plan.name)
        status = session.status()
    assert (status.tier, status.fallbacks, status.timeouts) == ("svm-ahead", 0, 0)


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_precision(precision: str, tmp_path: Path) -> None:
    """In floats every value is within a quantum or two; on integers it is the same."""
    model = zoo.build("mobilenetv2", size=32, width=0.25, qdq=True)
    feeds = zoo.random_inputs(model)
    options = CompileOptions(plan="cpu", gpu=False, precision=precision)
    artifact = hetcomp.compile(model, output=tmp_path / "model.so", options=options)
    kinds = {tensor.dtype for tensor in artifact.graph.tensors}
    assert ("uint8" in kinds) == (precision == "int8")
    expected = onnxruntime_values(model, feeds)
    with hetcomp.load(tmp_path / "model.so", quiet=True) as session:
        got = session.run(feeds)
    for name, want in expected.items():
        step = float(np.min(np.diff(np.unique(want))))
        limit = 0.0 if precision == "int8" else 3 * step
        np.testing.assert_allclose(got[name], want, rtol=0, atol=limit)
