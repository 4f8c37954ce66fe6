"""Every kernel family between tensors of 16 bits, by every cut, against ONNX Runtime in float32.

Inputs, weights and what ONNX Runtime gets are rounded to the format first, so that only what the
kernels round themselves shows: each result once, when it is stored, and what `TOLERANCES` names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from kernel_harness import F16_HOST, Array, lower, make_model, random_feeds, reference, run_cut
from onnx import helper, numpy_helper
from opencl_device import NEEDS_OPENCL
from test_half import numbers
from test_opencl_kernels import CASES, model_of

import hetcomp
from hetcomp.codegen.lower import Lowered
from hetcomp.options import CompileOptions
from hetcomp.schedules.facts import CpuFacts, DeviceFacts, GroupFacts
from hetcomp.schedules.half import BF16, F16, HalfFormat

ROUNDING = {F16: 2.0**-11, BF16: 2.0**-8}
"""Of one number, relative: twice the largest error, for sums of float32 that fall on the other
side of a tie."""
TOLERANCES = {
    **{"layer norm": 4.0, "attention": 2.0, "pools and concat": 4.0},
    **{"channel shuffle": 4.0, "bilinear resize": 4.0},
}
"""Roundings of the largest result, where a kernel keeps a row of intermediate results in the
output's memory or there are several kernels; 1 elsewhere."""
WINOGRAD = 4.0
"""The same for weights that are rounded once more when Winograd's method has transformed them."""
SCORES = 4.0
"""The same for attention in several kernels, which store scores and weights."""
OTHER = ("booleans", "short integers", "logarithm, mean, sum")
"""Results in bool or integers, or logarithms near zero of what was rounded before."""
NAMES = [name for name in CASES if name not in OTHER]
CHAINED = 8.0
"""The same where sums of `CHAIN` products are float16: twice what was measured for one."""
FORMATS = pytest.mark.parametrize("form", [F16, BF16], ids=lambda form: form.name)


def float_of(form: HalfFormat, array: Array) -> Array:
    """`array` rounded to `form`, as float32."""
    bits = form.rounded(array)
    if bits.dtype == np.float16:
        return bits.astype(np.float32)
    return np.asarray((bits.astype(np.uint32) << 16).view(np.float32))


def between(model: onnx.ModelProto, form: HalfFormat) -> onnx.ModelProto:
    """`model` behind a task that hands its inputs on, before one that hands its outputs on, with
    weights of `form`."""
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == np.float32:
            weight.CopyFrom(numpy_helper.from_array(float_of(form, array), weight.name))
    nodes = list(graph.node)
    first, last = [], []
    for value in graph.input:
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            _rename(nodes, value.name, f"{value.name}_in")
            first.append(helper.make_node("Neg", [value.name], [f"{value.name}_in"]))
    axis = numpy_helper.from_array(np.array([-1], np.int64), "last_axis")
    for value in graph.output:
        _rename(nodes, value.name, f"{value.name}_out")
        wide = f"{value.name}_wide"
        last.append(helper.make_node("Unsqueeze", [f"{value.name}_out", "last_axis"], [wide]))
        last.append(helper.make_node("ReduceMax", [wide], [value.name], axes=[-1], keepdims=0))
    graph.initializer.append(axis)
    del graph.node[:]
    graph.node.extend([*first, *nodes, *last])
    return wrapped


def _rename(nodes: list[Any], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            renamed = [new if name == old else name for name in names]
            del names[:]
            names.extend(renamed)


def half_case(name: str, form: HalfFormat) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The model of a case between tasks, and inputs of the format."""
    model = between(model_of(name), form)
    feeds = {
        key: float_of(form, value) if value.dtype == np.float32 else value
        for key, value in random_feeds(model).items()
    }
    if "i" in feeds:
        feeds["i"] = np.random.default_rng(0).integers(-50, 50, feeds["i"].shape)
    return model, feeds


def check_half(name: str, form: HalfFormat, facts: DeviceFacts | None = None, **how: Any) -> None:
    model, feeds = half_case(name, form)
    lowered = lower(model, facts, half=form, **how)
    kept = [t for t in lowered.graph.tensors if t.dtype == form.memory and t.size_bytes]
    assert kept, "nothing lies in memory in 16 bits"
    got = run_cut(lowered, feeds, facts, how.get("groups"))
    chained = form is F16 and facts is not None and facts.f16_products
    assert_near(
        got, reference(model, feeds), form, CHAINED if chained else roundings_of(name, lowered)
    )


def roundings_of(name: str, lowered: Lowered) -> float:
    winograd = any("winograd" in kernel.scheduled.variant for kernel in lowered.kernels)
    found = [value for key, value in TOLERANCES.items() if key in name]
    kinds = {kernel.scheduled.kind for kernel in lowered.kernels}
    apart = "attention" in name and "attention" not in kinds
    return max([*found, WINOGRAD if winograd else 1.0, SCORES if apart else 1.0])


def assert_near(got: list[Array], wanted: list[Array], form: HalfFormat, roundings: float) -> None:
    """Within `roundings` of the largest result, or 1 of each."""
    for result, expected in zip(got, wanted, strict=True):
        assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
        largest = float(np.abs(expected).max())
        own = np.abs(expected) if roundings == 1.0 else largest
        bound = ROUNDING[form] * (roundings * own + 1e-3 * largest) + 1e-7
        assert np.all(np.abs(result - expected) <= bound)


@FORMATS
@pytest.mark.parametrize("name", NAMES)
def test_on_this_machine(name: str, form: HalfFormat) -> None:
    check_half(name, form)


@FORMATS
@pytest.mark.parametrize("facts", [CpuFacts.AVX2, CpuFacts.SSE], ids=lambda f: f.name)
@pytest.mark.parametrize("name", ["linear", "convolution", "depthwise convolution", "moves"])
def test_of_other_register_files(name: str, facts: DeviceFacts, form: HalfFormat) -> None:
    check_half(name, form, facts)


@NEEDS_OPENCL
@FORMATS
@pytest.mark.parametrize("name", ["linear", "convolution", "attention", "layer norm and gelu"])
def test_of_opencl_class_gpu(name: str, form: HalfFormat) -> None:
    check_half(name, form, groups=GroupFacts(compute_units=2, local_bytes=4 << 10))


@pytest.mark.skipif(not F16_HOST.cpu.f16_products, reason="no AVX512-FP16 or asimdhp here")
@pytest.mark.parametrize("name", NAMES)
def test_products_of_float16(name: str) -> None:
    check_half(name, F16, F16_HOST.cpu)


@NEEDS_OPENCL
@FORMATS
@pytest.mark.parametrize("device_class", ["cpu-like", "gpu"])
def test_opencl_stores_the_nearest(device_class: str, form: HalfFormat, tmp_path: Path) -> None:
    values = numbers(form).reshape(1, 64, 32, 32)
    shape = ",".join(map(str, values.shape))
    text = f"""g (float[{shape}] x) => (float[{shape}] y) {{
        h = Conv<group=64>(x, one) w = Unsqueeze(h, last)
        y = ReduceMax<axes=[-1], keepdims=0>(w) }}"""
    options = CompileOptions(
        plan="gpu", precision=form.name, device_class=device_class, use_cache=False
    )
    weights = {"one": np.ones((64, 1, 1, 1), np.float32), "last": np.array([-1])}
    model = make_model(text, weights)
    hetcomp.compile(model, output=tmp_path / "m.so", options=options)
    with hetcomp.load(tmp_path / "m.so", quiet=True) as session:
        got = session.run({"x": values})["y"]
        assert session.status().gpu_steps > 0
    numeric = ~np.isnan(values)  # OpenCL leaves open what min() and max() make of NaN
    np.testing.assert_array_equal(got[numeric], float_of(form, values)[numeric])
