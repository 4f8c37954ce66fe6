"""A bilinear resize towards NCHW is interpolated one axis after the other."""

from __future__ import annotations

from typing import Any

import pytest
from pass_harness import apply, assert_untouched, module, operators
from tvm import relax

from hetcomp.passes.linear_resize import SeparateResize


def resize(
    size: tuple[int, int], *, mode: str = "half_pixel", method: str = "linear", keep: bool = False
) -> Any:
    def build(builder: Any, x: Any) -> Any:
        found = relax.op.image.resize2d(
            x, size, layout="NHWC", method=method, coordinate_transformation_mode=mode
        )
        found = builder.emit(found)
        return found if keep else relax.op.permute_dims(found, [0, 3, 1, 2])

    return module(build, (2, 5, 7, 3))


@pytest.mark.parametrize(
    "mode", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
)
@pytest.mark.parametrize("size", [(5, 7), (11, 30), (3, 19)])
def test_axes_are_separated(size: tuple[int, int], mode: str) -> None:
    separated = apply(SeparateResize(), resize(size, mode=mode), tolerance=2e-6)
    assert operators(separated) == ["call_tir", "call_tir"]


@pytest.mark.parametrize(
    "mod",
    [
        resize((11, 30), keep=True),  # NHWC: vectors of channels do
        resize((11, 5)),  # fewer columns than before: neighbours lie apart
        resize((11, 30), method="nearest_neighbor"),
        resize((11, 1025)),
    ],
    ids=["NHWC", "narrower", "nearest", "wide"],
)
def test_others_stay(mod: Any) -> None:
    assert_untouched(SeparateResize(), mod)
