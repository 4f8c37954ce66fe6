"""Concatenated, shuffled and split channels are taken from the parts in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pass_harness import apply, assert_untouched, module, operators
from tvm import relax

from hetcomp.passes.channel_shuffle import InterleaveChannels
from hetcomp.passes.sink_transposes import SinkTransposes

MAP = (2, 5, 7)
SWAP = (0, 1, 2, 4, 3)


def shuffled(widths: Sequence[int], *, cuts: Sequence[int] = (), swap: Sequence[int] = SWAP) -> Any:
    def build(builder: Any, *parts: Any) -> Any:
        emit, channels = builder.emit, sum(widths)
        joined = emit(relax.op.concat(list(parts), axis=3))
        grouped = (*MAP, len(widths), channels // len(widths))
        turned = emit(relax.op.permute_dims(emit(relax.op.reshape(joined, grouped)), list(swap)))
        whole = emit(relax.op.reshape(turned, (*MAP, channels)))
        if not cuts:
            return relax.op.nn.relu(whole)
        split = emit(relax.op.split(whole, list(cuts), axis=3))
        items = [emit(relax.TupleGetItem(split, i)) for i in range(len(cuts) + 1)]
        return relax.op.concat([emit(relax.op.negative(item)) for item in items[::-1]], axis=3)

    return module(build, *[(*MAP, width) for width in widths])


@pytest.mark.parametrize(
    ("widths", "cuts"), [((58, 58), (58,)), ((9, 9, 9), (5, 20)), ((4, 4), ())]
)
def test_parts_are_interleaved(widths: Sequence[int], cuts: Sequence[int]) -> None:
    found = operators(apply(InterleaveChannels(), shuffled(widths, cuts=cuts)))
    assert found.count("call_tir") == len(cuts) + 1
    assert not {"reshape", "split"} & set(found)


@pytest.mark.parametrize(
    "mod",
    [
        shuffled((8, 8), swap=(0, 1, 2, 3, 4)),
        shuffled((6, 10)),
        shuffled((8, 8), swap=(0, 2, 1, 4, 3)),
    ],
    ids=["not swapped", "unequal parts", "rows swapped too"],
)
def test_others_stay(mod: Any) -> None:
    assert_untouched(InterleaveChannels(), mod)


def test_transposes_sink_past_shuffle_split_and_concatenation() -> None:
    def build(builder: Any, x: Any, y: Any) -> Any:
        emit = builder.emit
        first, second = (emit(relax.op.permute_dims(z, [0, 3, 1, 2])) for z in (x, y))
        joined = emit(relax.op.concat([first, second], axis=1))
        grouped = emit(relax.op.reshape(joined, (2, 2, 8, 5, 7)))
        turned = emit(relax.op.permute_dims(grouped, [0, 2, 1, 3, 4]))
        split = emit(relax.op.split(emit(relax.op.reshape(turned, (2, 16, 5, 7))), [5], axis=1))
        return relax.op.nn.relu(emit(relax.TupleGetItem(split, 1)))

    names = operators(apply(SinkTransposes(), module(build, (*MAP, 8), (*MAP, 8))))
    assert names[-1] == "permute_dims"
    assert names[:-1] == ["concat", "reshape", "permute_dims", "reshape", "split", "nn.relu"]
