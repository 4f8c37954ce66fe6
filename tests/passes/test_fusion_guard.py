"""An operator that widens an anchor's result is kept out of the anchor's task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from pass_harness import assert_untouched, const, evaluate, inputs_of, module, normal, operators
from tvm import relax

from hetcomp.passes.anchors import LegalizeAnchors
from hetcomp.passes.fusion_guard import GuardBroadcasts

ELEMENTWISE, BROADCAST, INJECTIVE = range(3)
LAYOUTS = {"data_layout": "NHWC", "kernel_layout": "HWIO"}


def annotated(build: Any, *shapes: Any) -> Any:
    """The module as the pass finds it: TIR functions with operator patterns."""
    patterns = [LegalizeAnchors(), relax.transform.AnnotateTIROpPattern()]
    return tvm.transform.Sequential(patterns)(module(build, *shapes))


def pattern(mod: Any, name: str) -> int:
    return int(mod[name].attrs["op_pattern"])


def gate(builder: Any, x: Any, pooled: Any) -> Any:
    weight = const(normal(1, 1, 6, 6))
    product = builder.emit(relax.op.nn.conv2d(pooled, weight, **LAYOUTS))
    opened = builder.emit(relax.op.sigmoid(product))
    return relax.op.multiply(x, opened)


def test_gate_is_marked() -> None:
    mod = annotated(gate, (1, 5, 5, 6), (1, 1, 1, 6))
    guarded = GuardBroadcasts()(mod)
    assert pattern(mod, "multiply") in (ELEMENTWISE, BROADCAST)
    assert pattern(guarded, "multiply") == INJECTIVE
    assert pattern(guarded, "tir_sigmoid") == ELEMENTWISE
    fused = tvm.transform.Sequential([relax.transform.FuseOps(), relax.transform.FuseTIR()])
    names = {gvar.name_hint for gvar in fused(guarded).get_global_vars()}
    assert names == {"main", "fused_conv2d_tir_sigmoid", "multiply"}


def test_guarding_twice_changes_nothing_and_keeps_numbers() -> None:
    mod = annotated(gate, (1, 5, 5, 6), (1, 1, 1, 6))
    guarded = GuardBroadcasts()(mod)
    assert_untouched(GuardBroadcasts(), guarded)
    arrays = inputs_of(mod)
    np.testing.assert_array_equal(evaluate(guarded, *arrays), evaluate(mod, *arrays))


def residual(builder: Any, x: Any, other: Any) -> Any:
    product = builder.emit(relax.op.nn.conv2d(x, const(normal(1, 1, 6, 6)), **LAYOUTS))
    return relax.op.add(product, other)


@pytest.mark.parametrize("other", [(1, 5, 5, 6), (1, 1, 1, 6)])
def test_operators_of_the_anchors_size_stay(other: Any) -> None:
    """A residual, and a bias that is broadcast itself."""
    assert_untouched(GuardBroadcasts(), annotated(residual, (1, 5, 5, 6), other))


def test_broadcast_without_anchor_stays() -> None:
    mod = annotated(lambda _, x, y: relax.op.add(x, y), (1, 1, 6), (5, 5, 6))
    assert_untouched(GuardBroadcasts(), mod)


def test_operators_are_kept() -> None:
    mod = annotated(gate, (1, 5, 5, 6), (1, 1, 1, 6))
    assert operators(GuardBroadcasts()(mod)) == operators(mod)
