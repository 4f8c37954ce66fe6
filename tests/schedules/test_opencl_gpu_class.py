"""Kernels of OpenCL class `gpu`, by every cut, on guarded memory, for GPUs large and small."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh_process import script_runner
from kernel_harness import (
    HOST,
    MATRIX,
    POINTWISE,
    Array,
    assert_close,
    check,
    lower,
    make_model,
    normal,
    random_feeds,
    run_cut,
)
from opencl_device import NEEDS_OPENCL
from test_opencl_kernels import CASES, model_of

import hetcomp
from hetcomp.codegen.kernels import opencl_source
from hetcomp.codegen.lower import Lowered
from hetcomp.device_class import find_groups, group_facts
from hetcomp.devices import OpenClInfo
from hetcomp.errors import InputError
from hetcomp.options import CompileOptions
from hetcomp.schedules.facts import CpuFacts, DeviceFacts, GroupFacts

DEVICES = {
    "phone": GroupFacts(items=256, sub_group=64, local_bytes=32 << 10, compute_units=2),
    "small": GroupFacts(items=48, sub_group=16, local_bytes=4 << 10, accumulators=16),
    "discrete": GroupFacts(items=256, sub_group=32, compute_units=128),
}

pytestmark = NEEDS_OPENCL


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_every_family_by_every_cut(name: str, device: str) -> None:
    model = model_of(name)
    feeds = random_feeds(model)
    if "i" in feeds:
        feeds["i"] = np.random.default_rng(0).integers(-50, 50, feeds["i"].shape)
    tolerance = POINTWISE if "norm" in name else MATRIX
    lowered = check(model, tolerance, feeds=feeds, groups=DEVICES[device])
    assert all(kernel.items != (1, 1) for kernel in lowered.graph.kernels)


@pytest.mark.parametrize("facts", [CpuFacts.NEON, CpuFacts.AVX2], ids=lambda facts: facts.name)
@pytest.mark.parametrize("name", ["linear", "convolution", "grouped convolution"])
def test_weights_packed_for_another_cpu(name: str, facts: DeviceFacts) -> None:
    """Narrow channel tiles, as on a phone: a work-group takes several."""
    lowered = check(model_of(name), MATRIX, facts=facts, groups=DEVICES["phone"])
    assert all(kernel.items != (1, 1) for kernel in lowered.graph.kernels)


def exact(*arrays: Array) -> list[Array]:
    return [array.astype(np.float64) for array in arrays]


@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(1, 16, 16), (2, 130, 300), (63, 64, 65), (64, 1, 64), (129, 33, 47), (200, 31, 5)],
)
def test_linear_against_float64(m: int, k: int, n: int) -> None:
    x, w, b = normal(m, k), normal(k, n) / np.sqrt(np.float32(k)), normal(n)
    text = f"g (float[{m},{k}] x) => (float[{m},{n}] y) {{ t = MatMul(x, w) y = Add(t, b) }}"
    model = make_model(text, {"w": w, "b": b})
    got = run(model, {"x": x})
    x64, w64, b64 = exact(x, w, b)
    assert_close(got, (x64 @ w64 + b64).astype(np.float32), MATRIX)


@pytest.mark.parametrize("transposed", [False, True])
def test_product_of_activations_against_float64(transposed: bool) -> None:
    a, b = normal(3, 37, 20), normal(3, 29, 20) if transposed else normal(3, 20, 29)
    change = "t = Transpose<perm=[0,2,1]>(b)" if transposed else "t = Identity(b)"
    shape = ",".join(map(str, b.shape))
    head = f"float[3,37,20] a, float[{shape}] b"
    text = f"g ({head}) => (float[3,37,29] y) {{ {change} y = MatMul(a, t) }}"
    a64, b64 = exact(a, b)
    expected = a64 @ (b64.transpose(0, 2, 1) if transposed else b64)
    assert_close(run(make_model(text), {"a": a, "b": b}), expected.astype(np.float32), MATRIX)


def test_products_of_single_numbers() -> None:
    """Work-groups of one item have local memory too."""
    a, b = normal(3, 1, 1), normal(3, 1, 1, seed=1)
    text = "g (float[3,1,1] a, float[3,1,1] b) => (float[3,1,1] y) { y = MatMul(a, b) }"
    assert_close(run(make_model(text), {"a": a, "b": b}), a * b, MATRIX)


@pytest.mark.parametrize("length", [5, 127, 128, 1000])
def test_softmax_against_float64(length: int) -> None:
    x = normal(3, length) * 20
    text = f"g (float[3,{length}] x) => (float[3,{length}] y) {{ y = Softmax(x) }}"
    (x64,) = exact(x)
    e = np.exp(x64 - x64.max(axis=1, keepdims=True))
    expected = (e / e.sum(axis=1, keepdims=True)).astype(np.float32)
    assert_close(run(make_model(text), {"x": x}), expected, POINTWISE)


def test_blocks_of_channels_against_float64() -> None:
    x = normal(2, 12, 13, 96)
    text = """g (float[2,12,13,96] x) => (float[2,1,1,96] y) {
        m = ReduceMean<axes=[1,2], keepdims=1>(x) y = Tanh(m) }"""
    (x64,) = exact(x)
    expected = np.tanh(x64.mean(axis=(1, 2), keepdims=True)).astype(np.float32)
    assert_close(run(make_model(text), {"x": x}), expected, POINTWISE)


def run(model: Any, feeds: dict[str, Array]) -> Array:
    """The output on the device, checked by every cut too."""
    facts = DEVICES["phone"]
    return run_cut(lower(model, groups=facts), feeds, groups=facts)[0]


@pytest.mark.parametrize("device", DEVICES)
def test_work_groups_fit_the_device(device: str) -> None:
    facts = DEVICES[device]
    for name in CASES:
        lowered = lower(model_of(name), groups=facts)
        assert_fits(lowered, facts)
        assert all(record.items != (1, 1) for record in lowered.graph.kernels)


def assert_fits(lowered: Lowered, facts: GroupFacts) -> None:
    """No kernel has more local memory or work-items than the device."""
    source = opencl_source(lowered.kernels, HOST.opencl)
    for record in lowered.graph.kernels:
        text = source.split(f"__kernel void {record.symbol}(")[1]
        arrays = re.findall(r"__local \w+ \w+\[(\d+)\]", text.split("\n}\n")[0])
        assert sum(4 * int(size) for size in arrays) <= facts.local_bytes
        assert record.items[0] * record.items[1] <= facts.items


def test_text_of_a_work_group() -> None:
    """Local memory in the kernel, one item that waits, and no barrier behind a return."""
    lowered = lower(model_of("linear"), groups=DEVICES["phone"])
    source = opencl_source(lowered.kernels, HOST.opencl)
    body, kernel = source.split("__attribute__((reqd_work_group_size(")
    assert "__local float left_ptr[" not in body
    assert kernel.count("__local float left_ptr[") == 1
    assert kernel.count("hetcomp_enter") == kernel.count("hetcomp_leave") == 1
    assert "return" not in kernel
    wide, high = lowered.graph.kernels[0].items
    assert kernel.startswith(f"{wide}, {high}, 1)))")


def test_class_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_groups("cpu-like") is None
    assert find_groups("gpu") is not None
    monkeypatch.setenv("HETCOMP_OPENCL_LIBRARY", "/nonexistent/libOpenCL.so")
    assert find_groups("auto") is None
    assert find_groups("gpu") == GroupFacts()
    with pytest.raises(InputError, match="device_class must be one of auto, cpu-like, gpu"):
        CompileOptions(device_class="npu")


def test_facts_of_a_device() -> None:
    info = OpenClInfo(
        *("P", "OpenCL 2.0", "", "1", "gpu", (), "svm-ahead", 6, 0, 1 << 30),
        vendor="QUALCOMM",
        max_group_items=1024,
        local_bytes=32 << 10,
        f16=True,
    )
    assert info.device_class == "gpu"
    facts = group_facts(info)
    assert (facts.items, facts.sub_group, facts.compute_units) == (256, 64, 6)
    assert (facts.local_bytes, facts.f16) == (32 << 10, True)


def test_wedged_device(tmp_path: Path) -> None:
    """Items that wait for one of them in vain all come back, and the CPU computes the result."""
    path = tmp_path / "model.so"
    options = CompileOptions(plan="split", device_class="gpu")
    hetcomp.compile(model_of("convolution"), output=path, options=options)
    answer, _ = script_runner(Path(__file__).parent)(f"""
        from kernel_harness import random_feeds
        from test_opencl_kernels import model_of
        import hetcomp
        feeds = random_feeds(model_of("convolution"))
        with hetcomp.load({str(path)!r}, plan="cpu") as session:
            expected = session.run(feeds)["y"]
        with hetcomp.load({str(path)!r}, fault="wedge", timeout_ms=200, quiet=True) as session:
            assert session.status().tier == "svm-ahead", session.status().why_no_gpu
            equal = bool((session.run(feeds)["y"] == expected).all())
            status = session.status()
        answer = [equal, status.timeouts, status.fallbacks, status.tier]
        """)
    assert answer == [True, 1, 1, "cpu"]


VIEWS = """g (float[1,64,9,11] x) => (float[1,64,9,11] y) {
    a, b = Split<axis=1>(x, halves)
    c = Conv<pads=[1,1,1,1]>(a, w) r = Relu(c)
    d = Conv<pads=[1,1,1,1], group=32>(b, u)
    e = Conv(d, v)
    p = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(d)
    s = Add(p, e)
    z = Concat<axis=1>(r, s)
    y = Sigmoid(z) }"""


@pytest.mark.parametrize("device", DEVICES)
def test_parts_of_wider_tensors(device: str) -> None:
    weights = {
        "halves": np.array([32, 32]),
        "w": normal(32, 32, 3, 3) / np.float32(15),
        "u": normal(32, 1, 3, 3) / np.float32(3),
        "v": normal(32, 32, 1, 1) / np.float32(5),
    }
    lowered = check(make_model(VIEWS, weights), MATRIX, groups=DEVICES[device])
    assert sum(tensor.pitch_bytes > 0 for tensor in lowered.graph.tensors) >= 2
    assert all(kernel.items != (1, 1) for kernel in lowered.graph.kernels)
