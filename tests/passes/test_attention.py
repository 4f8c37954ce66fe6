"""Matmul, softmax, matmul become one operator."""

from __future__ import annotations

from typing import Any

import pytest
from pass_harness import apply, assert_untouched, const, module, operators
from tvm import relax

from hetcomp.passes.attention import FuseAttention

QUERY, KEY, VALUE = (1, 2, 6, 8), (1, 2, 8, 9), (1, 2, 9, 5)


def attend(builder: Any, q: Any, k: Any, v: Any, *, axis: int = -1) -> Any:
    scores = builder.emit(relax.op.multiply(builder.emit(relax.op.matmul(q, k)), const(0.5)))
    weights = builder.emit(relax.op.nn.softmax(scores, axis=axis))
    return builder.emit(relax.op.matmul(weights, v))


def test_attention_is_one_call() -> None:
    mod = apply(FuseAttention(), module(attend, QUERY, KEY, VALUE), tolerance=1e-5)
    assert operators(mod) == ["call_tir"]


def test_transposes_of_heads_vanish() -> None:
    def build(builder: Any, q: Any, k: Any, v: Any) -> Any:
        moved = [builder.emit(relax.op.permute_dims(x, [0, 2, 1, 3])) for x in (q, v)]
        mixed = attend(builder, moved[0], k, moved[1])
        return relax.op.permute_dims(mixed, [0, 2, 1, 3])

    mod = apply(FuseAttention(), module(build, (1, 6, 2, 8), KEY, (1, 9, 2, 5)), tolerance=1e-5)
    assert operators(mod) == ["call_tir"]


def test_split_of_query_and_values_vanishes() -> None:
    def build(builder: Any, x: Any, k: Any) -> Any:
        split = builder.emit(relax.op.split(x, [16], axis=2))
        operands = []
        for i, width in enumerate((8, 5)):
            part = builder.emit(relax.TupleGetItem(split, i))
            heads = builder.emit(relax.op.reshape(part, (1, 9, 2, width)))
            operands.append(builder.emit(relax.op.permute_dims(heads, [0, 2, 1, 3])))
        return attend(builder, operands[0], k, operands[1])

    mod = apply(FuseAttention(), module(build, (1, 9, 26), KEY), tolerance=1e-5)
    assert operators(mod) == ["call_tir"]


def test_another_transpose_stays() -> None:
    def build(builder: Any, q: Any, k: Any, v: Any) -> Any:
        return relax.op.permute_dims(attend(builder, q, k, v), [0, 1, 3, 2])

    mod = apply(FuseAttention(), module(build, QUERY, KEY, VALUE), tolerance=1e-5)
    assert operators(mod) == ["call_tir", "permute_dims"]


@pytest.mark.parametrize("axis", [1, 2])
def test_softmax_over_another_axis_stays(axis: int) -> None:
    assert_untouched(
        FuseAttention(),
        module(lambda b, q, k, v: attend(b, q, k, v, axis=axis), QUERY, KEY, VALUE),
    )


def test_rows_beyond_the_cache_stay() -> None:
    shapes = ((1, 1, 2, 4), (1, 1, 4, 4096), (1, 1, 4096, 3))
    assert_untouched(FuseAttention(), module(attend, *shapes))


def test_broadcast_heads_stay() -> None:
    assert_untouched(FuseAttention(), module(attend, QUERY, (1, 1, 8, 9), VALUE))
