"""Products of bytes become annotated blocks with the same integers; all others stay operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from pass_harness import Array, assert_untouched, const, evaluate, module, normal, operators
from tvm import relax, tirx

from hetcomp.passes.integer_anchors import IntegerAnchors
from hetcomp.schedules.program import parse

LAYOUTS = {"data_layout": "NHWC", "kernel_layout": "HWIO", "out_dtype": "int32"}


def unsigned(*shape: int) -> Array:
    return np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)


def signed(*shape: int) -> Array:
    return np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)


def centred(builder: Any, x: Any, zero_point: int) -> Any:
    """`x` less its zero point, as the pass before this one writes it."""
    wide = builder.emit(relax.op.astype(x, "int32"))
    return builder.emit(relax.op.subtract(wide, const(np.int32(zero_point))))


def anchored(mod: Any, anchor: str) -> Any:
    """The module after the pass, which has one block of that name and left its input alone."""
    before = mod.script(show_meta=True)
    once = IntegerAnchors()(mod)
    assert mod.script(show_meta=True) == before
    tvm.ir.assert_structural_equal(IntegerAnchors()(mod), once, map_free_vars=True)
    tvm.ir.assert_structural_equal(IntegerAnchors()(once), once, map_free_vars=True)
    functions = [f for f in once.functions.values() if isinstance(f, tirx.PrimFunc)]
    stages = [stage for function in functions for stage in parse(function).stages]
    names = [str(s.annotations["hetcomp.anchor"]) for s in stages if s.anchor is not None]
    assert names == [anchor]
    assert not {"nn.conv2d", "matmul"} & set(operators(once))
    return once


def convolve(x: Array, w: Array, groups: int) -> Array:
    """3x3 convolution in int64 with a pad of one, a tap and a channel at a time."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width, outs = x.shape[1], x.shape[2], w.shape[3]
    per_in, per_out = w.shape[2], outs // groups
    result = np.zeros((*x.shape[:3], outs), np.int64)
    for out in range(outs):
        ins = slice(out // per_out * per_in, (out // per_out + 1) * per_in)
        for i in range(3):
            for j in range(3):
                seen = padded[:, i : i + height, j : j + width, ins]
                result[..., out] += seen @ w[i, j, :, out]
    return result


@pytest.mark.parametrize("zero_point", [0, 131])
@pytest.mark.parametrize(
    ("groups", "weight", "anchor"),
    [
        (1, (3, 3, 8, 5), "int8_conv2d"),
        (1, (3, 3, 6, 5), "int8_conv2d"),  # channels are filled up to whole words
        (2, (3, 3, 4, 6), "int8_conv2d"),
        (8, (3, 3, 1, 8), "int8_depthwise"),
    ],
)
def test_convolution(groups: int, weight: Any, anchor: str, zero_point: int) -> None:
    w, channels = signed(*weight), weight[2] * groups

    def build(builder: Any, x: Any) -> Any:
        less = centred(builder, x, zero_point)
        return relax.op.nn.conv2d(less, const(w), padding=1, groups=groups, **LAYOUTS)

    mod = module(build, (2, 7, 6, channels), dtype="uint8")
    x = unsigned(2, 7, 6, channels)
    expected = convolve(x.astype(np.int64) - zero_point, w.astype(np.int64), groups)
    np.testing.assert_array_equal(evaluate(anchored(mod, anchor), x), expected)


@pytest.mark.parametrize("zero_point", [0, 131])
@pytest.mark.parametrize("depth", [8, 7])
def test_product_with_weights(depth: int, zero_point: int) -> None:
    w = signed(depth, 5)

    def build(builder: Any, x: Any) -> Any:
        return relax.op.matmul(centred(builder, x, zero_point), const(w), out_dtype="int32")

    mod, x = module(build, (3, 4, depth), dtype="uint8"), unsigned(3, 4, depth)
    expected = (x.astype(np.int64) - zero_point) @ w.astype(np.int64)
    np.testing.assert_array_equal(evaluate(anchored(mod, "int8_linear"), x), expected)


@pytest.mark.parametrize("points", [(0, 128), (7, 128), (0, 5), (7, 5)])
@pytest.mark.parametrize("depth", [8, 6])
def test_product_of_activations(depth: int, points: tuple[int, int]) -> None:
    def build(builder: Any, x: Any, y: Any) -> Any:
        left, right = centred(builder, x, points[0]), centred(builder, y, points[1])
        return relax.op.matmul(left, right, out_dtype="int32")

    mod = module(build, (2, 3, depth), (2, depth, 5), dtype="uint8")
    x, y = unsigned(2, 3, depth), unsigned(2, depth, 5)[:, ::-1].copy()
    expected = (x.astype(np.int64) - points[0]) @ (y.astype(np.int64) - points[1])
    np.testing.assert_array_equal(evaluate(anchored(mod, "int8_matmul"), x, y), expected)


def test_added_constants_are_joined() -> None:
    w, bias = signed(8, 5), np.arange(5, dtype=np.int32)

    def build(builder: Any, x: Any) -> Any:
        product = relax.op.matmul(centred(builder, x, 9), const(w), out_dtype="int32")
        return relax.op.add(builder.emit(product), const(bias))

    mod, x = module(build, (4, 8), dtype="uint8"), unsigned(4, 8)
    found = anchored(mod, "int8_linear")
    assert operators(found).count("add") == 1
    expected = (x.astype(np.int64) - 9) @ w.astype(np.int64) + bias
    np.testing.assert_array_equal(evaluate(found, x), expected)


def _float_product(_: Any, x: Any) -> Any:
    return relax.op.matmul(relax.op.astype(x, "float32"), const(normal(8, 5)))


def _wide_weights(builder: Any, x: Any) -> Any:
    weight = const(signed(8, 5).astype(np.int32))
    return relax.op.matmul(centred(builder, x, 9), weight, out_dtype="int32")


def _zero_point_per_channel(builder: Any, x: Any) -> Any:
    wide = builder.emit(relax.op.astype(x, "int32"))
    less = builder.emit(relax.op.subtract(wide, const(np.arange(8, dtype=np.int32))))
    return relax.op.matmul(less, const(signed(8, 5)), out_dtype="int32")


@pytest.mark.parametrize("build", [_float_product, _wide_weights, _zero_point_per_channel])
def test_other_products_stay(build: Callable[..., Any]) -> None:
    assert_untouched(IntegerAnchors(), module(build, (4, 8), dtype="uint8"))


def test_nchw_convolutions_stay() -> None:
    def build(builder: Any, x: Any) -> Any:
        less = centred(builder, x, 9)
        return relax.op.nn.conv2d(less, const(signed(5, 8, 3, 3)), out_dtype="int32")

    assert_untouched(IntegerAnchors(), module(build, (1, 8, 6, 6), dtype="uint8"))
