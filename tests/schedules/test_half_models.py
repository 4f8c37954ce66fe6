"""Models in float16 on CPU and OpenCL, by every cut, against f64 and against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from families import Window, convolve
from half_models import half_feeds, rounded, rounded_model, to_half_model
from kernel_harness import (
    F16_HOST,
    HOST,
    Array,
    lower,
    make_model,
    normal,
    random_feeds,
    reference,
    run_cut,
)
from opencl_device import DEVICES, NEEDS_OPENCL
from test_half_kernels import CHAINED, ROUNDING, roundings_of
from test_opencl_kernels import CASES, RANDOM_PLANS, model_of, random_plan

import hetcomp
from hetcomp.codegen.kernels import opencl_source
from hetcomp.codegen.lower import Lowered
from hetcomp.device_class import find_groups
from hetcomp.options import CompileOptions
from hetcomp.plan.plan import Place
from hetcomp.plan.steps import make_table
from hetcomp.schedules.facts import CpuFacts, DeviceFacts, GroupFacts
from hetcomp.schedules.half import F16

PHONE = GroupFacts(items=256, sub_group=64, local_bytes=32 << 10, compute_units=2, f16=True)
SMALL = GroupFacts(items=48, sub_group=16, local_bytes=4 << 10, accumulators=16, f16=True)
NEAR_ZERO = {"logarithm, mean, sum": 4.0, "rows that see no key": 4.0}
"""Roundings of the largest result, where the steps before it are not the reference's."""
ROWS_OF_A_TASK = 4.0
"""A first task that changes the layout, and others behind it, store float16 each."""

# Which driver that is, PoCL or Intel's, the environment says: see scripts/test_intel_opencl.sh.
COMPUTES_F16 = any(device.opencl is not None and device.opencl.f16 for device in DEVICES)


def half_case(name: str) -> tuple[Any, dict[str, Array], list[Array]]:
    """A case in float16, its inputs, and what ONNX Runtime makes of the same in float32."""
    model = model_of(name)
    feeds = {key: rounded(array) for key, array in random_feeds(model).items()}
    if "i" in feeds:
        feeds["i"] = np.random.default_rng(0).integers(-50, 50, feeds["i"].shape)
    return to_half_model(model), half_feeds(feeds), reference(rounded_model(model), feeds)


def assert_near(got: list[Array], exact: list[Array], roundings: float) -> None:
    """Within so many roundings of the largest result, NaN and infinities where they belong."""
    for result, expected in zip(got, exact, strict=True):
        assert result.shape == expected.shape
        if result.dtype != np.float16:
            np.testing.assert_array_equal(result, expected)
            continue
        wide, finite = result.astype(np.float64), np.isfinite(expected)
        np.testing.assert_array_equal(wide[~finite], expected[~finite])
        largest = np.abs(expected[finite]).max(initial=0.0)
        bound = ROUNDING[F16] * roundings * largest + 1e-7
        np.testing.assert_allclose(wide[finite], expected[finite], rtol=0.0, atol=bound)


def check(name: str, facts: DeviceFacts | None = None, groups: GroupFacts | None = None) -> Lowered:
    model, feeds, expected = half_case(name)
    lowered = lower(model, facts, groups=groups)
    assert not any(kernel.why_no_opencl for kernel in lowered.graph.kernels)
    chained = facts is not None and facts.f16_products
    chained |= groups is not None and groups.f16
    found = [value for key, value in NEAR_ZERO.items() if key in name]
    roundings = max(ROWS_OF_A_TASK, roundings_of(name, lowered), *found, CHAINED * chained)
    assert_near(run_cut(lowered, feeds, facts, groups), expected, roundings)
    return lowered


@pytest.mark.parametrize("name", CASES)
def test_on_this_machine(name: str) -> None:
    check(name)


@pytest.mark.parametrize("facts", [CpuFacts.AVX2, CpuFacts.SSE], ids=lambda f: f.name)
@pytest.mark.parametrize("name", ["linear", "convolution", "depthwise convolution", "moves"])
def test_of_other_register_files(name: str, facts: DeviceFacts) -> None:
    check(name, facts)


@pytest.mark.skipif(not F16_HOST.cpu.f16_products, reason="no AVX512-FP16 or asimdhp here")
@pytest.mark.parametrize("name", ["linear", "convolution", "grouped convolution"])
def test_products_of_float16(name: str) -> None:
    check(name, F16_HOST.cpu)


@NEEDS_OPENCL
@pytest.mark.parametrize("device", [PHONE, SMALL], ids=["phone", "small"])
@pytest.mark.parametrize("name", CASES)
def test_of_opencl_class_gpu(name: str, device: GroupFacts) -> None:
    """Products of float16 where the driver has them, of float32 elsewhere: from the same text."""
    lowered = check(name, groups=device)
    texts = [kernel.work_group for kernel in lowered.graph.kernels]
    products = [text for text in texts if "GEMM" in text or " convolution" in text]
    assert all("float16 products" in text for text in products if " 5 deep" not in text)


def run(model: Any, feeds: dict[str, Array], how: str) -> list[Array]:
    """Outputs on the CPU, or in one of OpenCL's classes, checked by every cut."""
    groups = PHONE if how == "gpu" else None
    return run_cut(lower(to_half_model(model), groups=groups), half_feeds(feeds), groups=groups)


HOW = pytest.mark.parametrize("how", ["cpu", pytest.param("gpu", marks=NEEDS_OPENCL)])


@HOW
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 16, 16), (2, 130, 300), (63, 64, 65), (129, 33, 47), (20, 700, 96)]
)
def test_linear_against_float64(m: int, k: int, n: int, how: str) -> None:
    x, w, b = normal(m, k), normal(k, n) / np.sqrt(np.float32(k)), normal(n)
    text = f"g (float[{m},{k}] x) => (float[{m},{n}] y) {{ t = MatMul(x, w) y = Add(t, b) }}"
    got = run(make_model(text, {"w": w, "b": b}), {"x": x}, how)
    x64, w64, b64 = (rounded(array).astype(np.float64) for array in (x, w, b))
    assert_near(got, [x64 @ w64 + b64], CHAINED if how == "gpu" else 1.0)


@HOW
@pytest.mark.parametrize("groups", [1, 4, 24])
def test_convolution_against_float64(groups: int, how: str) -> None:
    x, w = normal(2, 24, 9, 13), normal(24, 24 // groups, 3, 3) / np.float32(8)
    text = f"""g (float[2,24,9,13] x) => (float[2,24,5,7] y) {{
        c = Conv<pads=[1,1,1,1], strides=[2,2], group={groups}>(x, w) y = Relu(c) }}"""
    got = run(make_model(text, {"w": w}), {"x": x}, how)
    window = Window((3, 3), (2, 2), (1, 1), (1, 1, 1, 1), groups)
    exact = convolve(*(rounded(array).astype(np.float64) for array in (x, w)), window)
    assert_near(got, [np.maximum(exact, 0.0)], CHAINED if how == "gpu" else 1.0)


@HOW
@pytest.mark.parametrize("transposed", [False, True])
def test_product_of_activations_against_float64(transposed: bool, how: str) -> None:
    a, b = normal(3, 37, 20), normal(3, 29, 20) if transposed else normal(3, 20, 29)
    change = "t = Transpose<perm=[0,2,1]>(b)" if transposed else "t = Identity(b)"
    head = f"float[3,37,20] a, float[{','.join(map(str, b.shape))}] b"
    text = f"g ({head}) => (float[3,37,29] y) {{ {change} y = MatMul(a, t) }}"
    a64, b64 = (rounded(array).astype(np.float64) for array in (a, b))
    exact = a64 @ (b64.transpose(0, 2, 1) if transposed else b64)
    assert_near(run(make_model(text), {"a": a, "b": b}, how), [exact], 1.0)


@HOW
@pytest.mark.parametrize("length", [5, 128, 1000])
def test_softmax_against_float64(length: int, how: str) -> None:
    x = normal(3, length) * 20
    text = f"g (float[3,{length}] x) => (float[3,{length}] y) {{ y = Softmax(x) }}"
    x64 = rounded(x).astype(np.float64)
    e = np.exp(x64 - x64.max(axis=1, keepdims=True))
    got = run(make_model(text), {"x": x}, how)
    assert_near(got, [e / e.sum(axis=1, keepdims=True)], 2.0)


def test_infinities_and_overflow() -> None:
    """What exceeds float16 is an infinity; one that is masked away leaves no trace."""
    text = """g (float16[2,3] x) => (float16[2,3] y, float16[2,3] z) {
        y = Mul(x, x) m = Add(x, mask) z = Softmax(m) }"""
    x = np.array([[300, -1, -np.inf], [65504, 0, 2]], np.float16)
    model = make_model(text, {"mask": np.array([0, -np.inf, 0], np.float16)})
    y, z = run_cut(lower(model), {"x": x})
    np.testing.assert_array_equal(y, np.array([[np.inf, 1, np.inf], [np.inf, 0, 4]], np.float16))
    np.testing.assert_array_equal(z, np.array([[1, 0, 0], [1, 0, 0]], np.float16))


def test_float16_beside_float32() -> None:
    """A tensor keeps the type that the model gives it."""
    text = """g (float16[4,32] x) => (float16[4,32] y) {
        a = MatMul(x, w) c = Cast<to=1>(a) l = Mul(c, large) s = Softmax(l)
        y = Cast<to=10>(s) }"""
    weights = {"w": normal(32, 32).astype(np.float16), "large": np.float32(1e5)}
    model = make_model(text, weights)
    lowered = lower(model)
    x = random_feeds(model)["x"]
    product = x.astype(np.float64) @ weights["w"].astype(np.float64)
    e = np.exp((product - product.max(axis=1, keepdims=True)) * 1e5)
    assert_near(run_cut(lowered, {"x": x}), [e / e.sum(axis=1, keepdims=True)], 1.0)


def test_one_text_for_every_device() -> None:
    """Nothing in it insists on the extension, and it computes in float16 where that is."""
    lowered = lower(to_half_model(model_of("linear")), groups=PHONE)
    source = opencl_source(lowered.kernels, HOST.opencl)
    assert "#error" not in source
    assert "#define half8 float8" in source
    assert "half8 chain" in source
    plain = lower(to_half_model(model_of("linear")), groups=GroupFacts())
    assert "half8 chain" not in opencl_source(plain.kernels, HOST.opencl)


def test_when_float16_is_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    def facts(opencl_f16: str) -> bool:
        found = find_groups("gpu", opencl_f16)
        assert found is not None
        return found.f16

    assert (facts("on"), facts("off")) == (True, False)
    assert facts("auto") == (COMPUTES_F16 or not DEVICES)
    monkeypatch.setenv("HETCOMP_OPENCL_LIBRARY", "/nonexistent/libOpenCL.so")
    assert facts("auto")
    assert CompileOptions(precision="f16").multiplies_f16
    assert not CompileOptions(precision="f16", exact=True).multiplies_f16
    assert not CompileOptions().multiplies_f16


@NEEDS_OPENCL
@pytest.mark.parametrize("precision", ["auto", "f16"])
@pytest.mark.parametrize("device_class", ["cpu-like", "gpu"])
@pytest.mark.parametrize("name", ["linear", "attention", "convolution", "depthwise convolution"])
def test_shared_with_the_cpu(name: str, device_class: str, precision: str, tmp_path: Path) -> None:
    """Whole on the device, and shared with the CPU by random cuts."""
    model, feeds, exact = half_case(name)
    path = tmp_path / "model.so"
    options = CompileOptions(
        plan="gpu", device_class=device_class, precision=precision, opencl_f16="on"
    )
    hetcomp.compile(model, output=path, options=options)
    roundings = CHAINED if precision == "f16" else ROWS_OF_A_TASK
    with hetcomp.load(path, quiet=True) as session:
        assert session.status().tier == "svm-ahead", session.status().why_no_gpu
        assert {d.place for d in session.image.plans[0].decisions} == {Place.GPU}
        names = [info.name for info in session.outputs]
        plans = [random_plan(session.graph, seed) for seed in range(RANDOM_PLANS)]
        for plan in (session.image.plans[0], *plans):
            session.set_table(make_table(session.graph, plan))
            got = session.run(feeds)
            assert_near([got[output] for output in names], exact, roundings)
        assert (session.status().fallbacks, session.status().timeouts) == (0, 0)
