"""SinkTransposes: transposes move behind element-wise operators; inverse pairs vanish."""

from __future__ import annotations

from typing import Any

import numpy as np
from pass_harness import apply, assert_untouched, const, module, operators
from tvm import relax

from hetcomp.passes.sink_transposes import SinkTransposes

_SWAP = [0, 2, 1]


def _swap(builder: Any, x: Any, axes: list[int] | None = None) -> Any:
    return builder.emit(relax.op.permute_dims(x, axes or _SWAP))


def test_pair_round_a_chain_vanishes() -> None:
    def build(builder: Any, x: Any) -> Any:
        clipped = builder.emit(relax.op.clip(_swap(builder, x), 0.0, 1.0))
        return relax.op.permute_dims(builder.emit(relax.op.tanh(clipped)), _SWAP)

    assert operators(apply(SinkTransposes(), module(build, (2, 3, 4)))) == ["clip", "tanh"]


def test_constant_operand_is_transposed_back() -> None:
    bias = const(np.arange(3, dtype=np.float32).reshape(1, 1, 3))

    def build(builder: Any, x: Any) -> Any:
        return relax.op.add(builder.emit(relax.op.nn.relu(_swap(builder, x))), bias)

    after = apply(SinkTransposes(), module(build, (2, 3, 2)))
    assert operators(after) == ["nn.relu", "add", "permute_dims"]


def test_both_operands_transposed_alike() -> None:
    def build(builder: Any, x: Any, z: Any) -> Any:
        return relax.op.multiply(_swap(builder, x), _swap(builder, z))

    after = apply(SinkTransposes(), module(build, (2, 3, 4), (2, 3, 4)))
    assert operators(after) == ["multiply", "permute_dims"]


def test_operands_of_other_order_stay() -> None:
    def build(builder: Any, x: Any, z: Any) -> Any:
        return relax.op.add(_swap(builder, x), _swap(builder, z, [2, 1, 0]))

    assert_untouched(SinkTransposes(), module(build, (2, 2, 2), (2, 2, 2)))


def test_operator_that_is_not_elementwise_stays() -> None:
    def build(builder: Any, x: Any) -> Any:
        return relax.op.nn.softmax(_swap(builder, x))

    assert_untouched(SinkTransposes(), module(build, (2, 3, 4)))


def test_pooling_goes_channels_last() -> None:
    def build(builder: Any, x: Any) -> Any:
        data = _swap(builder, x, [0, 3, 1, 2])
        pooled = builder.emit(relax.op.nn.max_pool2d(data, (3, 3), (2, 2), (1, 1, 1, 1)))
        return relax.op.permute_dims(pooled, [0, 2, 3, 1])

    assert operators(apply(SinkTransposes(), module(build, (1, 9, 9, 4)))) == ["nn.max_pool2d"]


def test_mean_over_the_map_goes_channels_last() -> None:
    def build(builder: Any, x: Any) -> Any:
        mean = builder.emit(relax.op.mean(_swap(builder, x, [0, 3, 1, 2]), [2, 3], keepdims=True))
        return relax.op.permute_dims(mean, [0, 2, 3, 1])

    assert operators(apply(SinkTransposes(), module(build, (1, 5, 5, 4)))) == ["mean"]


def test_reduction_that_drops_its_axes_stays() -> None:
    def build(builder: Any, x: Any) -> Any:
        return relax.op.mean(_swap(builder, x), [2])

    assert_untouched(SinkTransposes(), module(build, (2, 3, 4)))


def test_pooling_behind_another_transpose_stays() -> None:
    def build(builder: Any, x: Any) -> Any:
        return relax.op.nn.max_pool2d(_swap(builder, x, [0, 1, 3, 2]), (2, 2))

    assert_untouched(SinkTransposes(), module(build, (1, 2, 4, 4)))
