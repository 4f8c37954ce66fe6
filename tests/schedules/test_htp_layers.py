"""Regions as ONNX models for Qualcomm's compiler, run by ONNX Runtime's CPU: NumPy's integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from kernel_harness import Array, make_model
from quantized_layers import conv_layers, linear_layers, random_bytes
from quantized_models import Grid, QuantizedLayer
from test_npu_verdicts import lowered

from hetcomp.npu.htp import HtpTasks
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Decision, Place
from hetcomp.plan.regions import npu_steps
from hetcomp.plan.table import NpuStep

SETTINGS = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def read(model: onnx.ModelProto) -> HtpTasks:
    found = lowered(model)
    return HtpTasks.of(found.graph, found.operators, found.constant)


def steps_of(graph: TaskGraph) -> tuple[NpuStep, ...]:
    places = {True: Place.NPU, False: Place.CPU}
    return npu_steps(graph, {t.name: Decision(t.name, places[t.npu]) for t in graph.tasks})


def run(tasks: HtpTasks, step: NpuStep, feeds: Sequence[Array]) -> list[Array]:
    model = tasks.model(step)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [port.name for port in model.graph.input]
    return list(session.run(None, dict(zip(names, feeds, strict=True))))


def in_memory(graph: TaskGraph, tensor: int, array: Array) -> Array:
    """`array` as the tensor has it: unsigned, maps NHWC, channels filled up by any bytes."""
    unsigned = (array.astype(np.int16) + 128 * (array.dtype == np.int8)).astype(np.uint8)
    shape = graph.tensors[tensor].shape
    moved = unsigned.transpose(0, 2, 3, 1) if unsigned.ndim == 4 else unsigned
    missing = shape[-1] - moved.shape[-1]
    return np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, missing)], constant_values=77)


def distance(got: Array, expected: Array) -> int:
    return int(np.abs(got.astype(np.int64) - expected.astype(np.int64)).max(initial=0))


def check_layer(layer: QuantizedLayer) -> None:
    tasks = read(layer.model())
    taken = [task for task in tasks.graph.tasks if task.npu]
    if not taken:  # few channels run as another operator, which says why it is refused
        assert all(task.why_no_npu for task in tasks.graph.tasks)
        return
    (step,) = steps_of(tasks.graph)
    (source,), (made,) = step.inputs, step.outputs
    (got,) = run(tasks, step, [in_memory(tasks.graph, source, layer.x)])
    assert distance(got, in_memory(tasks.graph, made, layer.oracle())) <= 1


@SETTINGS
@given(layer=conv_layers())
def test_convolutions(layer: QuantizedLayer) -> None:
    check_layer(layer)


@SETTINGS
@given(layer=conv_layers(depthwise=True))
def test_depthwise_convolutions(layer: QuantizedLayer) -> None:
    check_layer(layer)


@SETTINGS
@given(layer=linear_layers())
def test_matrix_products(layer: QuantizedLayer) -> None:
    check_layer(layer)


def grid(scale: float, zero_point: int) -> Grid:
    return Grid(np.float32(scale), np.asarray(zero_point))


GRIDS = {"x": grid(0.02, 128), "w": grid(0.01, 0), "y": grid(0.05, 117), "z": grid(0.07, 90)}


def network(body: str, *, inputs: str, outputs: str, **extra: Any) -> onnx.ModelProto:
    """A model whose names `x_s`, `x_z`, ... are the parameters of `GRIDS`."""
    weights: dict[str, Any] = {"w": random_bytes("int8", 8, 8, 3, 3), **extra}
    for name, parameters in GRIDS.items():
        weights |= parameters.weights(name)
    weights["w_z"] = np.zeros((), np.int8)
    used = {name: array for name, array in weights.items() if name in body}
    return make_model(f"g ({inputs}) => ({outputs}) {{ {body} }}", used)


CONV = (
    "xd = DequantizeLinear(x, x_s, x_z) wd = DequantizeLinear(w, w_s, w_z) "
    "c = Conv<pads=[1,1,1,1]>(xd, wd) y = QuantizeLinear(c, y_s, y_z) "
    "yd = DequantizeLinear(y, y_s, y_z) "
)
BODIES: Mapping[str, str] = {
    "a sum": "d = Conv<pads=[1,1,1,1]>(yd, wd) v = QuantizeLinear(d, z_s, z_z) "
    "vd = DequantizeLinear(v, z_s, z_z) s = Add(vd, yd) z = QuantizeLinear(s, z_s, z_z)",
    "the largest": "z = MaxPool<kernel_shape=[3,3], strides=[1,1], pads=[1,1,1,1]>(y)",
    "another grid": "z = QuantizeLinear(yd, z_s, z_z)",
    "within limits": "r = Relu(yd) z = QuantizeLinear(r, y_s, y_z)",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_several_layers_are_one_region(body: str) -> None:
    model = network(CONV + body, inputs="uint8[1,8,6,5] x", outputs="uint8[1,8,6,5] z")
    tasks = read(model)
    (step,) = steps_of(tasks.graph)
    x = random_bytes("uint8", 1, 8, 6, 5)
    (got,) = run(tasks, step, [in_memory(tasks.graph, tensor, x) for tensor in step.inputs])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": x})
    assert distance(got, expected.transpose(0, 2, 3, 1)) <= 1


def test_floats_come_out_dequantised() -> None:
    model = network(CONV, inputs="uint8[1,8,6,5] x", outputs="float[1,8,6,5] yd")
    tasks = read(model)
    (step,) = steps_of(tasks.graph)
    x = random_bytes("uint8", 1, 8, 6, 5)
    (got,) = run(tasks, step, [in_memory(tasks.graph, step.inputs[0], x)])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": x})
    quanta = np.abs(got - expected.transpose(0, 2, 3, 1)) / float(GRIDS["y"].scale)
    assert quanta.max() < 1.01


REFUSED = {
    "z = Sigmoid(yd)": "no 'select' of",
    "s = Mul(yd, xd) z = QuantizeLinear(s, z_s, z_z)": "float32, which the CPU quantises",
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_no_layer_is_refused_with_its_reason(body: str) -> None:
    kind = "float" if "Sigmoid" in body else "uint8"
    model = network(CONV + body, inputs="uint8[1,8,6,5] x", outputs=f"{kind}[1,8,6,5] z")
    tasks = read(model)
    refused = [task.why_no_npu for task in tasks.graph.tasks if not task.npu]
    assert any(REFUSED[body] in why for why in refused), refused
    assert set(tasks.layers) == {i for i, task in enumerate(tasks.graph.tasks) if task.npu}
