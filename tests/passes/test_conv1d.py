"""Convolutions along one axis become those along two, and stay so through what follows."""

from __future__ import annotations

from typing import Any

import pytest
from pass_harness import apply, assert_untouched, const, module, normal, operators
from tvm import relax

from hetcomp.passes.conv1d import Conv1dAsConv2d


@pytest.mark.parametrize("groups", [1, 8])
def test_every_attribute_arrives(groups: int) -> None:
    weight = const(normal(16, 8 // groups, 3))

    def build(_: Any, x: Any) -> Any:
        return relax.op.nn.conv1d(x, weight, 2, (1, 2), 2, groups)

    widened = apply(Conv1dAsConv2d(), module(build, (2, 8, 21)), tolerance=1e-4)
    assert operators(widened) == ["reshape", "nn.conv2d", "reshape"]


def test_what_follows_stays_wide() -> None:
    first, second, bias = const(normal(8, 4, 3)), const(normal(8, 8, 1)), const(normal(1, 8, 1))

    def build(builder: Any, x: Any) -> Any:
        a = builder.emit(relax.op.nn.conv1d(x, first, padding=1))
        b = builder.emit(relax.op.nn.relu(builder.emit(relax.op.add(a, bias))))
        c = builder.emit(relax.op.nn.conv1d(b, second))
        d = builder.emit(relax.op.clip(builder.emit(relax.op.add(c, b)), -1.0, 1.0))
        return relax.op.multiply(d, relax.const(0.5))

    widened = apply(Conv1dAsConv2d(), module(build, (1, 4, 9)), tolerance=1e-4)
    kept = ["nn.conv2d", "add", "nn.relu", "nn.conv2d", "add", "clip", "multiply"]
    assert operators(widened) == ["reshape", *kept, "reshape"]


def test_computed_weights_are_widened_too() -> None:
    def build(_: Any, x: Any, w: Any) -> Any:
        return relax.op.nn.conv1d(x, w)

    widened = apply(Conv1dAsConv2d(), module(build, (1, 4, 9), (6, 4, 3)), tolerance=1e-4)
    assert operators(widened) == ["reshape", "reshape", "nn.conv2d", "reshape"]


def test_a_narrow_operand_keeps_the_operator_narrow() -> None:
    weight = const(normal(8, 4, 3))

    def build(builder: Any, x: Any, y: Any) -> Any:
        a = builder.emit(relax.op.nn.conv1d(x, weight, padding=1))
        return relax.op.add(a, y)

    widened = apply(Conv1dAsConv2d(), module(build, (1, 4, 9), (1, 8, 9)), tolerance=1e-4)
    assert operators(widened) == ["reshape", "nn.conv2d", "reshape", "add"]


def test_other_operators_stay() -> None:
    weight = const(normal(8, 4, 3, 3))

    def build(builder: Any, x: Any) -> Any:
        a = builder.emit(relax.op.nn.conv2d(x, weight))
        return relax.op.nn.relu(builder.emit(relax.op.reshape(a, (1, 8, 49))))

    assert_untouched(Conv1dAsConv2d(), module(build, (1, 4, 9, 9)))
