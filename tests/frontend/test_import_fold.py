"""Folding: what vanishes, what stays, and that the numbers do not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from hetcomp.bench import zoo
from hetcomp.errors import ModelError
from hetcomp.frontend import import_onnx

# Same float32 graph minus shape arithmetic: only the order of sums may differ.
RTOL, ATOL = 1e-4, 1e-5
RESHAPE = """g (float[n,3,4] x) => (float[n,12] y) {
  s = Shape (x)
  zero = Constant <value: tensor = int64[1] {0}> ()
  one = Constant <value: tensor = int64[1] {1}> ()
  batch = Slice (s, zero, one)
  rest = Constant <value: tensor = int64[1] {-1}> ()
  target = Concat <axis: int = 0> (batch, rest)
  kept = Identity (x)
  flat = Reshape (kept, target)
  dropped = Dropout (flat)
  unused = Exp (dropped)
  y = Relu (dropped)
}"""


def op_types(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_shape_arithmetic_vanishes(parse: Any, execute: Any, reference: Any) -> None:
    model = parse(RESHAPE)
    imported = import_onnx(model, shapes={"x": (2, 3, 4)})
    assert op_types(imported.model) == ["Reshape", "Relu"]
    onnx.checker.check_model(imported.model, full_check=True)
    x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    for run in (execute(imported, {"x": x}), reference(imported.model, {"x": x})):
        np.testing.assert_array_equal(run[0], reference(model, {"x": x})[0])


def test_the_given_model_is_not_changed(parse: Any) -> None:
    model = parse(RESHAPE)
    before = model.SerializeToString(deterministic=True)
    import_onnx(model, shapes={"x": (2, 3, 4)})
    assert model.SerializeToString(deterministic=True) == before


def test_folding_twice_changes_nothing(parse: Any) -> None:
    once = import_onnx(parse(RESHAPE), shapes={"x": (2, 3, 4)}).model
    twice = import_onnx(once).model
    assert twice.SerializeToString(deterministic=True) == once.SerializeToString(deterministic=True)


def test_equal_weights_are_kept_once(parse: Any) -> None:
    body = "g (float[2,2] x) => (float[2,2] y) { a = MatMul (x, u) y = MatMul (a, v) }"
    eye = np.eye(2, dtype=np.float32)
    folded = import_onnx(parse(body, weights={"u": eye, "v": eye, "w": eye})).model
    assert [tensor.name for tensor in folded.graph.initializer] == ["u"]


def test_a_constant_output_is_returned(parse: Any, execute: Any) -> None:
    body = "g (float[2,3] x) => (int64[2] s, float[2,3] y) { s = Shape (x) y = Relu (x) }"
    imported = import_onnx(parse(body))
    x = np.ones((2, 3), np.float32)
    shape, y = execute(imported, {"x": x})
    np.testing.assert_array_equal(shape, [2, 3])
    np.testing.assert_array_equal(y, x)


def test_an_input_that_is_an_output(parse: Any, execute: Any) -> None:
    body = "g (float[2] x) => (float[2] y) { y = Identity (x) }"
    x = np.ones(2, np.float32)
    np.testing.assert_array_equal(execute(import_onnx(parse(body)), {"x": x})[0], x)


@pytest.mark.parametrize("take", [True, False])
def test_if_with_a_constant_condition_is_inlined(take: bool, parse: Any, execute: Any) -> None:
    body = """g (float[2] x) => (float[2] y) {
      y = If (c) <then_branch = a () => (float[2] p) { p = Neg (x) },
                  else_branch = b () => (float[2] q) { q = Relu (x) }>
    }"""
    imported = import_onnx(parse(body, weights={"c": np.array(take)}))
    x = np.array([-1, 2], np.float32)
    want = -x if take else np.maximum(x, 0)
    np.testing.assert_array_equal(execute(imported, {"x": x})[0], want)


def test_a_huge_constant_is_not_materialised(parse: Any) -> None:
    body = "g (float[1] x) => (float[] y) { c = ConstantOfShape (s) y = Add (c, x) }"
    model = parse(body, weights={"s": np.array([1 << 12, 1 << 12])})
    assert op_types(import_onnx(model).model) == ["ConstantOfShape", "Add"]


def test_weights_stay_quantised(parse: Any, execute: Any, reference: Any, operators: Any) -> None:
    body = """g (float[1,2,4,4] x) => (float[1,3,4,4] y) {
      xq = QuantizeLinear (x, xs, xz)
      xd = DequantizeLinear (xq, xs, xz)
      wd = DequantizeLinear <axis: int = 0> (wq, ws, wz)
      y = Conv (xd, wd)
    }"""
    rng = np.random.default_rng(0)
    weights = {
        "xs": np.float32(0.02),
        "xz": np.uint8(128),
        "wq": rng.integers(-128, 128, (3, 2, 1, 1)).astype(np.int8),
        "ws": np.array([0.01, 0.02, 0.03], np.float32),
        "wz": np.zeros(3, np.int8),
    }
    model = parse(body, weights=weights)
    imported = import_onnx(model)
    assert operators(imported).count("relax.dequantize") == 2
    x = rng.standard_normal((1, 2, 4, 4)).astype(np.float32)
    want = reference(model, {"x": x})[0]
    np.testing.assert_allclose(execute(imported, {"x": x})[0], want, rtol=RTOL, atol=ATOL)


def test_qdq_network_keeps_its_pairs() -> None:
    model = zoo.build("mobilenetv2", **zoo.small_size("mobilenetv2"), qdq=True)
    folded = op_types(import_onnx(model).model)
    assert folded.count("DequantizeLinear") == op_types(model).count("DequantizeLinear")


def test_a_node_that_does_not_fit_is_named(parse: Any) -> None:
    body = "g (float[2,3] x) => (float[] y) { [product] y = MatMul (x, w) }"
    with pytest.raises(ModelError, match=r"node 'product' \(MatMul\).*\[2, 3\].*\[4, 4\]"):
        import_onnx(parse(body, weights={"w": np.ones((4, 4), np.float32)}))


@pytest.mark.parametrize("name", zoo.names())
def test_zoo_imports_and_folding_keeps_its_numbers(name: str) -> None:
    model = zoo.build(name, **zoo.small_size(name))
    imported = import_onnx(model)
    assert not {"Shape", "Constant", "Identity", "Dropout"} & set(op_types(imported.model))
    feeds = zoo.random_inputs(model)
    results = []
    for tensor in imported.model.graph.initializer:
        tensor.CopyFrom(imported.weights.inline(tensor))
    for variant in (model, imported.model):
        session = onnxruntime.InferenceSession(
            variant.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        results.append(session.run(None, feeds))
    for want, got, spec in zip(results[0], results[1], imported.outputs, strict=True):
        assert (spec.shape, spec.dtype) == (want.shape, want.dtype.name)
        np.testing.assert_allclose(got, want, rtol=RTOL, atol=ATOL)
