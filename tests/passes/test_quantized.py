"""Operators between dequantize and quantize work on integers, where that is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from kernel_harness import make_model
from pass_harness import assert_untouched, module, normal, operators
from tvm import relax

from hetcomp.frontend import import_onnx
from hetcomp.passes.quantize_arithmetic import QuantizeArithmetic
from hetcomp.passes.quantized import IntegerOperators

HEAD = {
    "s": np.float32(0.05),
    "z": np.uint8(120),
    "r": np.float32(0.1),
    "t": np.uint8(7),
    "zi": np.int8(-8),
}


def rewritten(text: str, **weights: Any) -> Any:
    """The module of an ONNX text after the pass, which leaves its input as it was."""
    mod = import_onnx(make_model(text, HEAD | weights)).mod
    before = mod.script(show_meta=True)
    once = IntegerOperators()(mod)
    assert mod.script(show_meta=True) == before
    tvm.ir.assert_structural_equal(IntegerOperators()(once), once, map_free_vars=True)
    return once


def bytes_of(*shape: int) -> Any:
    return np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)


def test_convolution() -> None:
    text = """g (uint8[1,4,6,6] x) => (uint8[1,8,6,6] y) {
        d = DequantizeLinear(x, s, z) e = DequantizeLinear<axis=0>(w, ws)
        b = DequantizeLinear<axis=0>(bias, bs)
        c = Conv<pads=[1,1,1,1]>(d, e, b) a = Relu(c) y = QuantizeLinear(a, r, t) }"""
    scales = np.linspace(0.01, 0.02, 8, dtype=np.float32)
    bias = np.arange(8, dtype=np.int32)
    mod = rewritten(text, w=bytes_of(8, 4, 3, 3), ws=scales, bias=bias, bs=HEAD["s"] * scales)
    found = operators(mod)
    assert "dequantize" not in found
    assert "quantize" not in found
    assert found[:4] == ["astype", "subtract", "nn.conv2d", "add"]


def test_product_without_zero_points() -> None:
    text = """g (uint8[5,8] x) => (uint8[5,3] y) { d = DequantizeLinear(x, s)
        e = DequantizeLinear(w, r) c = MatMul(d, e) y = QuantizeLinear(c, r) }"""
    found = operators(rewritten(text, w=bytes_of(8, 3)))
    assert found[0] == "matmul"
    assert "dequantize" not in found


def test_signed_activations_become_unsigned() -> None:
    text = """g (int8[5,8] x) => (int8[5,3] y) { d = DequantizeLinear(x, s, zi)
        e = DequantizeLinear(w, r) c = MatMul(d, e) y = QuantizeLinear(c, r, zi) }"""
    mod = rewritten(text, w=bytes_of(8, 3))
    kinds = {str(b.var.ty.dtype) for block in mod["main"].body.blocks for b in block.bindings}
    assert {"uint8", "int32"} <= kinds
    assert "dequantize" not in operators(mod)


@pytest.mark.parametrize(
    "nodes",
    [
        "m = MaxPool<kernel_shape=[2,2], strides=[2,2]>(d)",
        "m = Transpose<perm=[0,2,3,1]>(d)",
        "m = Flatten(d)",
        "m = Relu(d)",
    ],
)
def test_moves_on_the_same_grid_touch_bytes_only(nodes: str) -> None:
    text = f"""g (uint8[1,4,6,6] x) => (uint8[a,b,c,d] y) {{ d = DequantizeLinear(x, s, z)
        {nodes} y = QuantizeLinear(m, s, z) }}"""
    if "Flatten" in nodes:
        text = text.replace("a,b,c,d", "a,b")
    mod = rewritten(text)
    kinds = {str(b.var.ty.dtype) for block in mod["main"].body.blocks for b in block.bindings}
    assert kinds == {"uint8"}


@pytest.mark.parametrize(
    ("node", "found"),
    [
        ("m = GlobalAveragePool(d)", "sum"),
        ("m = ReduceMean<axes=[2,3]>(d)", "sum"),
        ("m = AveragePool<kernel_shape=[2,2], strides=[2,2]>(d)", "nn.conv2d"),
        ("m = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(d)", "nn.conv2d"),
    ],
)
def test_means_are_sums_of_bytes(node: str, found: str) -> None:
    text = f"""g (uint8[1,4,6,6] x) => (uint8[a,b,c,d] y) {{ d = DequantizeLinear(x, s, z)
        {node} y = QuantizeLinear(m, r, t) }}"""
    mod = rewritten(text)
    sums = {
        str(binding.var.ty.dtype)
        for block in mod["main"].body.blocks
        for binding in block.bindings
        if getattr(binding.value, "op", None) == tvm.ir.Op.get(f"relax.{found}")
    }
    assert sums == {"int32"}
    assert not {"mean", "nn.avg_pool2d"} & set(operators(mod))


def test_windows_beyond_the_padding_stay_floats() -> None:
    text = """g (uint8[1,4,5,5] x) => (uint8[1,4,3,3] y) { d = DequantizeLinear(x, s, z)
        m = AveragePool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(d)
        y = QuantizeLinear(m, r, t) }"""
    assert "nn.avg_pool2d" in operators(rewritten(text))


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "weights that are not bytes once centred": (
        "e = DequantizeLinear(w, r, t) c = MatMul(d, e)",
        {"w": bytes_of(8, 3).view(np.uint8)},
    ),
    "float weights": ("c = MatMul(d, w)", {"w": normal(8, 3)}),
    "scales along the multiplied axis": (
        "e = DequantizeLinear<axis=0>(w, ws) c = MatMul(d, e)",
        {"w": bytes_of(8, 3), "ws": np.linspace(0.1, 0.2, 8, dtype=np.float32)},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_products_that_stay_floats(name: str) -> None:
    nodes, weights = REFUSED[name]
    text = f"""g (uint8[5,8] x) => (uint8[5,3] y) {{ d = DequantizeLinear(x, s, z)
        {nodes} y = QuantizeLinear(c, r, t) }}"""
    mod = rewritten(text, **weights)
    products = [
        binding.var.ty
        for block in mod["main"].body.blocks
        for binding in block.bindings
        if getattr(binding.value, "op", None) == tvm.ir.Op.get("relax.matmul")
    ]
    assert [str(kind.dtype) for kind in products] == ["float32"]


@pytest.mark.parametrize("transform", [IntegerOperators, QuantizeArithmetic])
def test_float_models_stay(transform: Callable[[], Any]) -> None:
    mod = module(lambda _, x, y: relax.op.matmul(x, y), (5, 8), (8, 3))
    assert_untouched(transform(), mod)


def test_rounding_is_to_even() -> None:
    """TVM's own lowering of quantize rounds halves away from zero."""
    text = "g (float[6] x) => (uint8[6] y) { y = QuantizeLinear(x, one, z) }"
    mod = import_onnx(make_model(text, {"one": np.float32(1), "z": np.uint8(120)})).mod
    lowered = relax.transform.LegalizeOps()(QuantizeArithmetic()(mod))
    machine = relax.VirtualMachine(tvm.compile(lowered, "llvm"), tvm.cpu())
    halves = np.asarray([-1.5, -0.5, 0.5, 1.5, 2.5, 1e9], np.float32)
    got = machine["main"](tvm.runtime.tensor(halves)).numpy()
    np.testing.assert_array_equal(got, np.asarray([118, 120, 120, 122, 122, 255], np.uint8))
