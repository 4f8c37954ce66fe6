"""Softmax over an inner axis becomes one over the last."""

from __future__ import annotations

import pytest
from pass_harness import apply, assert_untouched, module, operators
from tvm import relax

from hetcomp.passes.softmax_axis import SoftmaxLastAxis


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_inner_axis_is_moved(axis: int) -> None:
    mod = module(lambda _, x: relax.op.nn.softmax(x, axis=axis), (3, 5, 7))
    moved = apply(SoftmaxLastAxis(), mod)
    assert operators(moved) == ["permute_dims", "nn.softmax", "permute_dims"]
    call = moved["main"].body.blocks[0].bindings[1].value
    assert int(call.attrs.axis) == -1


@pytest.mark.parametrize("axis", [-1, 2])
def test_last_axis_stays(axis: int) -> None:
    assert_untouched(
        SoftmaxLastAxis(), module(lambda _, x: relax.op.nn.softmax(x, axis), (3, 5, 7))
    )


def test_other_operators_stay() -> None:
    """A log-softmax has an axis too."""
    assert_untouched(
        SoftmaxLastAxis(), module(lambda _, x: relax.op.nn.log_softmax(x, axis=1), (3, 5, 7))
    )
