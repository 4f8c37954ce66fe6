"""Operators with templates become annotated blocks, all others what TVM makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pass_harness import apply, assert_untouched, const, evaluate, module, normal, operators
from tvm import relax, tirx

from hetcomp.passes.anchors import LegalizeAnchors
from hetcomp.schedules.program import parse


def conv(data: Any, weight: Any, **attrs: Any) -> Any:
    def build(_: Any, x: Any) -> Any:
        layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
        return relax.op.nn.conv2d(x, const(normal(*weight)), **{**layouts, **attrs})

    return module(build, data)


def annotations(mod: Any) -> list[dict[str, Any]]:
    """Annotations of the anchors of all TIR functions."""
    functions = [f for f in mod.functions.values() if isinstance(f, tirx.PrimFunc)]
    stages = [stage for function in functions for stage in parse(function).stages]
    return [dict(stage.annotations) for stage in stages if stage.anchor is not None]


@pytest.mark.parametrize(
    ("groups", "weight", "anchor"),
    [(1, (3, 3, 6, 4), "conv2d"), (2, (3, 3, 3, 4), "conv2d"), (6, (3, 3, 1, 6), "depthwise"),
     (6, (3, 3, 1, 12), "conv2d")],
)  # fmt: skip
def test_convolution(groups: int, weight: Any, anchor: str) -> None:
    mod = conv((2, 9, 11, 6), weight, groups=groups, strides=(2, 1), padding=(1, 0, 2, 1))
    (found,) = annotations(apply(LegalizeAnchors(), mod, tolerance=1e-5))
    assert str(found["hetcomp.anchor"]) == anchor
    window = [int(value) for value in found["hetcomp.window"]]
    assert window == [2, 9, 11, 5, 10, 3, 3, 2, 1, 1, 1, 1, 0, groups]
    assert int(found["hetcomp.nchw_input"]) == 0


def test_dilation() -> None:
    apply(
        LegalizeAnchors(), conv((1, 9, 9, 2), (3, 3, 2, 3), dilation=2, padding=3), tolerance=1e-5
    )


def test_nchw_convolution_is_left_to_tvm() -> None:
    mod = module(lambda _, x: relax.op.nn.conv2d(x, const(normal(4, 3, 3, 3))), (1, 3, 7, 7))
    assert annotations(apply(LegalizeAnchors(), mod, tolerance=1e-5)) == []


@pytest.mark.parametrize(
    ("left", "right"),
    [((5, 7), (7, 3)), ((2, 5, 7), (7, 3)), ((2, 1, 5, 7), (4, 7, 3)), ((1, 5, 7), (3, 7, 2))],
)
def test_matmul(left: Any, right: Any) -> None:
    mod = module(lambda _, x, y: relax.op.matmul(x, y), left, right)
    (found,) = annotations(apply(LegalizeAnchors(), mod, tolerance=1e-5))
    assert str(found["hetcomp.anchor"]) == "matmul"


@pytest.mark.parametrize(("left", "right"), [((7,), (7, 3)), ((5, 7), (7,))])
def test_product_with_a_vector_is_left_to_tvm(left: Any, right: Any) -> None:
    mod = module(lambda _, x, y: relax.op.matmul(x, y), left, right)
    assert annotations(apply(LegalizeAnchors(), mod, tolerance=1e-5)) == []


def test_product_in_another_type_is_left_to_tvm() -> None:
    mod = module(lambda _, x, y: relax.op.matmul(x, y, "float64"), (5, 7), (7, 3))
    assert annotations(LegalizeAnchors()(mod)) == []


@pytest.mark.parametrize("name", ["softmax", "layer_norm"])
def test_row_wise_operators_are_kept_out_of_fusion(name: str) -> None:
    def build(_: Any, x: Any) -> Any:
        if name == "softmax":
            return relax.op.nn.softmax(x)
        return relax.op.nn.layer_norm(x, const(normal(7)), const(normal(7)), axes=[-1])

    lowered = apply(LegalizeAnchors(), module(build, (5, 7)), tolerance=1e-5)
    (function,) = (f for f in lowered.functions.values() if isinstance(f, tirx.PrimFunc))
    assert int(function.attrs["op_pattern"]) == 8


def test_element_wise_operators_are_tvms_own() -> None:
    mod = module(lambda b, x: relax.op.nn.relu(b.emit(relax.op.negative(x))), (5, 7))
    lowered = apply(LegalizeAnchors(), mod)
    assert operators(lowered) == ["call_tir", "call_tir"]
    assert annotations(lowered) == []


def test_lowered_functions_stay() -> None:
    mod = LegalizeAnchors()(module(lambda _, x: relax.op.negative(x), (5, 7)))
    assert_untouched(LegalizeAnchors(), mod)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("descending", [False, True])
def test_sort(axis: int, descending: bool) -> None:
    x = normal(5, 6, 7)
    order = np.sort(x, axis)
    expected = np.flip(order, axis) if descending else order
    mod = module(lambda _, y: relax.op.sort(y, axis, descending), (5, 6, 7))
    np.testing.assert_array_equal(evaluate(LegalizeAnchors()(mod), x), expected)


def test_argsort_is_stable() -> None:
    x = np.float32(normal(3, 40) > 0)
    mod = module(lambda _, y: relax.op.argsort(y, 1, dtype="int64"), (3, 40))
    np.testing.assert_array_equal(
        evaluate(LegalizeAnchors()(mod), x), np.argsort(x, 1, kind="stable")
    )


@pytest.mark.parametrize("result", ["values", "indices"])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [1, 4, 40])
def test_topk(result: str, largest: bool, k: int) -> None:
    x = normal(3, 40)
    mod = module(lambda _, y: relax.op.topk(y, k, 1, result, largest, "int64"), (3, 40))
    order = np.argsort(-x if largest else x, 1)[:, :k]
    expected = order if result == "indices" else np.take_along_axis(x, order, 1)
    np.testing.assert_array_equal(evaluate(LegalizeAnchors()(mod), x), expected)


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("exclusive", [False, True])
def test_running_sum_and_product(axis: int | None, exclusive: bool) -> None:
    x = normal(5, 7)
    for scan, reference, start in (
        (relax.op.cumsum, np.cumsum, 0), (relax.op.cumprod, np.cumprod, 1)
    ):  # fmt: skip
        expected = reference(x.astype(np.float64), axis)
        if exclusive:
            along = 0 if axis is None else axis
            expected = np.insert(expected, 0, start, along).take(
                range(expected.shape[along]), along
            )
        mod = module(lambda _, y, scan=scan: scan(y, axis, exclusive=exclusive), (5, 7))
        got = evaluate(LegalizeAnchors()(mod), x)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
