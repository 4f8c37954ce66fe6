"""Operators on constants are evaluated; what depends on inputs, or would swell, is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pass_harness import apply, assert_untouched, const, module, normal, operators
from tvm import relax

from hetcomp.passes.fold_constants import FoldConstants

FOLDED: dict[str, Callable[[], Any]] = {
    "reshape": lambda: relax.op.reshape(const(normal(6)), (2, 3)),
    "expand_dims": lambda: relax.op.expand_dims(const(normal(3)), 0),
    "squeeze": lambda: relax.op.squeeze(const(normal(1, 3))),
    "permute_dims": lambda: relax.op.permute_dims(const(normal(3, 2))),
    "permute_dims, axes": lambda: relax.op.permute_dims(const(normal(3, 2)), [1, 0]),
    "astype": lambda: relax.op.astype(const(np.arange(3)), "float32"),
    "add": lambda: relax.op.add(const(normal(2, 3)), const(normal(3))),
    "subtract": lambda: relax.op.subtract(const(normal(2, 3)), const(normal(3))),
    "multiply": lambda: relax.op.multiply(const(normal(3)), const(normal(2, 1))),
    "divide": lambda: relax.op.divide(const(normal(3)), const(normal(2, 1))),
    "negative": lambda: relax.op.negative(const(normal(3))),
    "sqrt": lambda: relax.op.sqrt(const(np.abs(normal(3)))),
    "rsqrt": lambda: relax.op.rsqrt(const(np.abs(normal(3)))),
}


@pytest.mark.parametrize("name", FOLDED)
def test_folds(name: str) -> None:
    def build(builder: Any, x: Any) -> Any:
        return relax.op.add(x, builder.emit(FOLDED[name]()))

    folded = apply(FoldConstants(), module(build, (2, 3)))
    assert operators(folded) == ["add"]


def test_folds_chains() -> None:
    def build(builder: Any, x: Any) -> Any:
        flat = builder.emit(relax.op.reshape(const(normal(6)), (3, 2)))
        turned = builder.emit(relax.op.permute_dims(flat))
        return relax.op.add(x, builder.emit(relax.op.negative(turned)))

    assert operators(apply(FoldConstants(), module(build, (2, 3)))) == ["add"]


def test_inputs_are_not_constants() -> None:
    mod = module(lambda b, x: relax.op.negative(b.emit(relax.op.permute_dims(x))), (2, 3))
    assert_untouched(FoldConstants(), mod)


def test_growth_is_limited() -> None:
    """A broadcast sum of two small constants can be a large one."""

    def build(builder: Any, x: Any) -> Any:
        wide = builder.emit(relax.op.add(const(normal(2048, 1)), const(normal(1, 2048))))
        return relax.op.add(x, wide)

    assert_untouched(FoldConstants(), module(build, (2048, 2048)))


def test_cast_to_bool_stays() -> None:
    def build(builder: Any, x: Any) -> Any:
        flags = builder.emit(relax.op.astype(const(np.arange(3)), "bool"))
        return relax.op.where(flags, x, x)

    assert operators(FoldConstants()(module(build, (3,)))) == ["astype", "where"]


def test_integer_division_stays() -> None:
    """NumPy's true division of integers is not Relax's."""

    def build(builder: Any, x: Any) -> Any:
        half = builder.emit(relax.op.divide(const(np.array([7, -7])), const(np.array([2, 2]))))
        return relax.op.add(x, builder.emit(relax.op.astype(half, "float32")))

    assert "divide" in operators(FoldConstants()(module(build, (2,))))


def test_scalars_stay_scalars() -> None:
    def build(builder: Any, x: Any) -> Any:
        scalar = builder.emit(relax.op.multiply(const(np.float32(2)), const(np.float32(3))))
        return relax.op.multiply(x, scalar)

    folded = apply(FoldConstants(), module(build, (2,)))
    calls = [b.value for b in folded["main"].body.blocks[0].bindings]
    (call,) = (value for value in calls if isinstance(value, relax.Call))
    assert list(call.args[1].ty.shape.values) == []
