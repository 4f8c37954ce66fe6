"""SlicesOfSplits: each item of a split is a slice; slices know where they lie."""

from __future__ import annotations

from typing import Any

import pytest
from pass_harness import apply, assert_untouched, module, operators
from tvm import relax

from hetcomp.passes.anchors import LegalizeAnchors
from hetcomp.passes.slices import SLICE, SLICE_AXIS, SlicesOfSplits

SHAPE = (2, 3, 10)


def _split(builder: Any, x: Any, where: Any, axis: int) -> Any:
    split = builder.emit(relax.op.split(x, where, axis=axis))
    return relax.op.tanh(builder.emit(relax.TupleGetItem(split, 1)))


@pytest.mark.parametrize(("where", "axis"), [(2, -1), ([3, 4], 2), ([1], 0), (3, 1)])
def test_items_become_slices(where: Any, axis: int) -> None:
    after = apply(SlicesOfSplits(), module(lambda b, x: _split(b, x, where, axis), SHAPE))
    assert operators(after) == ["strided_slice", "tanh"]


def test_other_tuples_stay() -> None:
    def build(builder: Any, x: Any) -> Any:
        pair = builder.emit(relax.op.topk(x, k=2, ret_type="both"))
        return builder.emit(relax.TupleGetItem(pair, 0))

    assert_untouched(SlicesOfSplits(), module(build, SHAPE))


def annotations(mod: Any) -> list[tuple[int, int]]:
    """First index and axis of each slice."""
    blocks = [f.body.block.body for name, f in mod.functions.items() if name.name_hint != "main"]
    found = []
    for nest in blocks:
        inner = nest
        while not hasattr(inner, "block"):
            inner = inner.body
        if SLICE in inner.block.annotations:
            marks = inner.block.annotations
            found.append((int(marks[SLICE]), int(marks[SLICE_AXIS])))
    return found


@pytest.mark.parametrize(
    ("axes", "begin", "end", "step", "marks"),
    [
        ([2], [4], [7], [1], [(4, 2)]),
        ([-1], [-6], [100], [1], [(4, 2)]),
        ([1], [-9], [2], [1], [(0, 1)]),
        ([2], [0], [10], [3], []),
        ([0, 2], [0, 4], [2, 7], [1, 1], []),
    ],
)
def test_slices_say_where_they_lie(
    axes: list[int], begin: list[int], end: list[int], step: list[int], marks: list[Any]
) -> None:
    def build(builder: Any, x: Any) -> Any:
        return relax.op.strided_slice(x, axes, begin, end, step)

    assert annotations(apply(LegalizeAnchors(), module(build, SHAPE))) == marks
