"""A convolution of few channels reads its NCHW input itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pass_harness import apply, assert_untouched, const, module, normal, operators
from tvm import relax

from hetcomp.passes.nchw_input import AbsorbInputLayout


def conv(
    channels: int, *, axes: Sequence[int] = (0, 2, 3, 1), groups: int = 1, stride: int = 2
) -> Any:
    shape = (2, channels, 9, 11)
    inverse = [list(axes).index(d) for d in range(4)]
    data = shape if list(axes) == [0, 2, 3, 1] else tuple((2, 9, 11, channels)[i] for i in inverse)

    def build(builder: Any, x: Any) -> Any:
        nhwc = builder.emit(relax.op.permute_dims(x, list(axes)))
        weight = const(normal(3, 3, channels // groups, 8 * groups))
        return relax.op.nn.conv2d(
            nhwc, weight, strides=stride, padding=[1, 1, 0, 1], groups=groups,
            data_layout="NHWC", kernel_layout="HWIO",
        )  # fmt: skip

    return module(build, data)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_transpose_is_absorbed(channels: int) -> None:
    absorbed = apply(AbsorbInputLayout(), conv(channels), tolerance=1e-5)
    assert operators(absorbed) == ["call_tir"]
    block = absorbed[absorbed.get_global_var("conv2d")].body.block.body
    while not hasattr(block, "block"):
        block = block.body
    assert int(block.block.annotations["hetcomp.nchw_input"]) == 1


def test_many_channels_stay() -> None:
    assert_untouched(AbsorbInputLayout(), conv(5))


def test_groups_stay() -> None:
    assert_untouched(AbsorbInputLayout(), conv(4, groups=2))


def test_other_transposes_stay() -> None:
    assert_untouched(AbsorbInputLayout(), conv(3, axes=(0, 3, 2, 1)))


def test_convolution_without_transpose_stays() -> None:
    def build(_: Any, x: Any) -> Any:
        weight = const(normal(3, 3, 3, 8))
        return relax.op.nn.conv2d(x, weight, data_layout="NHWC", kernel_layout="HWIO")

    assert_untouched(AbsorbInputLayout(), module(build, (1, 9, 9, 3)))


def test_nchw_convolution_stays() -> None:
    def build(builder: Any, x: Any) -> Any:
        turned = builder.emit(relax.op.permute_dims(x, [0, 2, 3, 1]))
        return relax.op.nn.conv2d(turned, const(normal(8, 9, 3, 3)))

    assert_untouched(AbsorbInputLayout(), module(build, (1, 3, 9, 9)))


def test_transpose_with_other_readers_stays_for_them() -> None:
    def build(builder: Any, x: Any) -> Any:
        nhwc = builder.emit(relax.op.permute_dims(x, [0, 2, 3, 1]))
        weight = const(normal(1, 1, 3, 3))
        product = builder.emit(
            relax.op.nn.conv2d(nhwc, weight, data_layout="NHWC", kernel_layout="HWIO")
        )
        return relax.op.add(product, nhwc)

    absorbed = apply(AbsorbInputLayout(), module(build, (1, 3, 5, 5)), tolerance=1e-5)
    assert operators(absorbed) == ["permute_dims", "call_tir", "add"]
