"""Our converters: the Relax operators they emit, and numbers against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hetcomp.frontend import import_onnx

# One float32 operator or a short chain of them; transcendentals differ by a few ulp.
RTOL, ATOL = 1e-5, 1e-5
X = np.linspace(-8, 8, 2 * 4 * 3 * 3, dtype=np.float32).reshape(2, 4, 3, 3)


def case(body: str, *expected: str, opset: int = 17, **weights: Any) -> Any:
    last = body.split("y = ")[1].split()[0]
    label = f"{last}-{opset}-{expected[0]}-{'-'.join(weights) or 'plain'}"
    return pytest.param(body, opset, weights, expected, id=label)


F32 = "g (float[2,4,3,3] x) => (float[] y) "
CASES = [
    case(F32 + "{ y = Clip (x, lo, hi) }", "relax.clip", lo=np.float32(0), hi=np.float32(6)),
    case(F32 + "{ y = Clip (x, , hi) }", "relax.clip", hi=np.float32(3)),
    case(F32 + "{ y = Clip (x, lo) }", "relax.clip", lo=np.float32(-2), opset=13),
    case(F32 + "{ y = Clip (x) }", "relax.clip", opset=11),
    case(F32 + "{ y = Clip <min: float = 0.0, max: float = 6.0> (x) }", "relax.clip", opset=7),
    case(F32 + "{ y = Clip (x, lo, hi) }", "relax.clip", lo=np.float32(4), hi=np.float32(1)),
    case(F32 + "{ y = HardSwish (x) }", "relax.multiply", opset=14),
    case(F32 + "{ s = Softplus (x) t = Tanh (s) y = Mul (x, t) }", "relax.exp"),
    case(F32 + "{ y = Mish (x) }", "relax.exp", opset=18),
    case(F32 + "{ y = Pow (x, e) }", "relax.multiply", e=np.float32(3)),
    case(F32 + "{ y = Pow (x, e) }", "relax.multiply", e=np.int64(2)),
    case(F32 + "{ y = Softmax (x) }", "relax.nn.softmax"),
    case(F32 + "{ y = Softmax <axis: int = 3> (x) }", "relax.nn.softmax", opset=11),
    case(F32 + "{ y = Softmax <axis: int = 1> (x) }", "relax.nn.softmax", opset=11),
    case(F32 + "{ y = Sum (x, x, x) }", "relax.add"),
    case(F32 + "{ y = Mean (x, x) }", "relax.multiply"),
    case(F32 + "{ y = Max (x, w) }", "relax.maximum", w=np.float32(1)),
    case(F32 + "{ y = Gather <axis: int = 1> (x, i) }", "relax.strided_slice", i=np.int64(-1)),
    case(F32 + "{ y = Gather <axis: int = 1> (x, i) }", "relax.take", i=np.array([3, 0])),
    case(
        F32 + "{ y = Pad (x, p, v) }",
        "relax.nn.pad",
        p=np.array([0, 0, 1, 0, 0, 0, 0, 2]),
        v=np.float32(7),
    ),
    case(
        F32 + "{ y = Slice (x, s, e, a, t) }",
        "relax.strided_slice",
        s=np.array([-3]),
        e=np.array([2**62]),
        a=np.array([-3]),
        t=np.array([2]),
    ),
    case(
        F32 + "{ y = Slice <starts: ints = [1], ends: ints = [9], axes: ints = [1]> (x) }",
        "relax.strided_slice",
        opset=9,
    ),
    case(
        F32 + "{ y = Resize (x, , s) }",
        "relax.image.resize2d",
        s=np.array([1, 1, 2, 2], np.float32),
    ),
    case(
        F32 + '{ y = Resize <mode: string = "linear"> (x, s) }',
        "relax.image.resize2d",
        s=np.array([1, 1, 2, 2], np.float32),
        opset=10,
    ),
    case(
        F32 + '{ y = Upsample <mode: string = "nearest"> (x, s) }',
        "relax.image.resize2d",
        s=np.array([1, 1, 3, 2], np.float32),
        opset=9,
    ),
    case(
        F32 + '{ y = Conv <auto_pad: string = "SAME_UPPER", strides: ints = [2, 2]> (x, w, b) }',
        "relax.nn.conv2d",
        w=np.ones((5, 4, 2, 2), np.float32),
        b=np.arange(5, dtype=np.float32),
    ),
    case(
        F32 + "{ y = ConvTranspose <strides: ints = [2, 2], output_shape: ints = [5, 5]> (x, w) }",
        "relax.nn.conv2d_transpose",
        w=np.ones((4, 2, 3, 3), np.float32),
    ),
]


@pytest.mark.parametrize(("body", "opset", "weights", "expected"), CASES)
def test_emits_the_operator_and_agrees(
    body: str,
    opset: int,
    weights: dict[str, Any],
    expected: tuple[str, ...],
    parse: Any,
    execute: Any,
    reference: Any,
    operators: Any,
) -> None:
    model = parse(body, opset=opset, weights=weights)
    imported = import_onnx(model)
    emitted = operators(imported)
    assert set(expected) <= set(emitted)
    assert "relax.call_tir" not in emitted
    (want,) = reference(model, {"x": X})
    (got,) = execute(imported, {"x": X})
    assert imported.outputs[0].shape == want.shape
    np.testing.assert_allclose(got, want, rtol=RTOL, atol=ATOL)


def test_relu6_is_one_clip(parse: Any, operators: Any) -> None:
    model = parse(
        F32 + "{ y = Clip (x, lo, hi) }", weights={"lo": np.float32(0), "hi": np.float32(6)}
    )
    assert operators(import_onnx(model)) == ["relax.clip"]


def test_clip_on_integers(parse: Any, execute: Any) -> None:
    body = "g (int32[5] x) => (int32[5] y) { y = Clip (x, lo, hi) }"
    model = parse(body, weights={"lo": np.int32(-3), "hi": np.int32(2**31 - 1)})
    x = np.array([-(2**31), -4, 0, 9, 2**31 - 1], np.int32)
    (got,) = execute(import_onnx(model), {"x": x})
    np.testing.assert_array_equal(got, np.maximum(x, -3))


def test_clip_ignores_a_nan_bound(parse: Any, execute: Any) -> None:
    body = "g (float[3] x) => (float[3] y) { y = Clip (x, lo, hi) }"
    model = parse(body, weights={"lo": np.float32("nan"), "hi": np.float32(2)})
    (got,) = execute(import_onnx(model), {"x": np.array([-9, 1, 9], np.float32)})
    np.testing.assert_array_equal(got, np.array([-9, 1, 2], np.float32))


def test_clip_with_run_time_bounds(parse: Any, execute: Any, operators: Any) -> None:
    body = "g (float[3] x, float lo) => (float[3] y) { y = Clip (x, lo) }"
    imported = import_onnx(parse(body))
    assert "relax.call_tir" not in operators(imported)
    feeds = {"x": np.array([-9, 1, 9], np.float32), "lo": np.array(0.5, np.float32)}
    np.testing.assert_array_equal(execute(imported, feeds)[0], np.array([0.5, 1, 9], np.float32))


@pytest.mark.parametrize("trans_a", [0, 1])
def test_gemm_folds_the_weight(trans_a: int, parse: Any, execute: Any, operators: Any) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((5, 4)), rng.standard_normal(5)
    shape = "4,3" if trans_a else "3,4"
    attributes = f"alpha: float = 0.5, beta: float = 2.0, transA: int = {trans_a}, transB: int = 1"
    model = parse(
        f"g (float[{shape}] x) => (float[3,5] y) {{ y = Gemm <{attributes}> (x, w, b) }}",
        weights={"w": weight.astype(np.float32), "b": bias.astype(np.float32)},
    )
    imported = import_onnx(model)
    expected = ["relax.permute_dims"] * trans_a + ["relax.matmul", "relax.add"]
    assert operators(imported) == expected
    x = rng.standard_normal((4, 3) if trans_a else (3, 4)).astype(np.float32)
    want = 0.5 * (x.T if trans_a else x) @ weight.T + 2 * bias
    np.testing.assert_allclose(execute(imported, {"x": x})[0], want, rtol=RTOL, atol=ATOL)


def test_gather_never_reads_outside(parse: Any, execute: Any) -> None:
    body = "g (int64[4] i) => (float[4] y) { y = Gather (w, i) }"
    imported = import_onnx(parse(body, weights={"w": np.arange(3, dtype=np.float32)}))
    (got,) = execute(imported, {"i": np.array([0, -1, 2, 1 << 40])})
    np.testing.assert_array_equal(got, np.array([0, 2, 2, 2], np.float32))


def test_uneven_split(parse: Any, execute: Any) -> None:
    body = "g (float[5] x) => (float[] a, float[] b) { a, b = Split <num_outputs: int = 2> (x) }"
    imported = import_onnx(parse(body, opset=18))
    assert [spec.shape for spec in imported.outputs] == [(3,), (2,)]
    x = np.arange(5, dtype=np.float32)
    a, b = execute(imported, {"x": x})
    np.testing.assert_array_equal(np.concatenate([a, b]), x)


def test_bindings_are_named_after_tensors(parse: Any) -> None:
    body = 'g (float[2] x) => (float[2] y) { "layer.1/relu:0" = Relu (x) y = Neg (t) }'
    model = parse(body.replace('"layer.1/relu:0"', "t"))
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = "layer.1/relu:0" if name == "t" else name
    assert "layer_1_relu_0" in import_onnx(model).mod.script()


def test_nodes_of_several_outputs_keep_their_names(parse: Any) -> None:
    body = (
        "g (float[2,4] x, float[4] s, float[4] b) => (float[2,4] y) "
        "{ normed = LayerNormalization (x, s, b) y = Neg (normed) }"
    )
    assert "normed" in import_onnx(parse(body)).mod.script()
