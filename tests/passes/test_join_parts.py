"""JoinParts: concatenations of what lies side by side already take the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pass_harness import apply, assert_untouched, module, operators
from tvm import relax

from hetcomp.passes.join_parts import JoinParts

MAP = (2, 5, 7, 12)


def _items(builder: Any, x: Any, cuts: Sequence[int], axis: int = 3) -> list[Any]:
    split = builder.emit(relax.op.split(x, list(cuts), axis=axis))
    return [builder.emit(relax.TupleGetItem(split, i)) for i in range(len(cuts) + 1)]


def _cut(builder: Any, x: Any, first: int, stop: int) -> Any:
    return builder.emit(relax.op.strided_slice(x, [3], [first], [stop], [1]))


def _concat(builder: Any, parts: Sequence[Any], axis: int = 3) -> Any:
    return builder.emit(relax.op.concat(list(parts), axis=axis))


def widths(mod: Any) -> list[list[int]]:
    """Channels of the parts of each concatenation."""
    calls = [b.value for block in mod["main"].body.blocks for b in block.bindings]
    concats = [c for c in calls if isinstance(c, relax.Call) and c.op.name == "relax.concat"]
    return [[int(part.ty.shape.values[3]) for part in call.args[0].fields] for call in concats]


def test_halves_of_a_split_become_its_source() -> None:
    def build(builder: Any, x: Any) -> Any:
        p, q = _items(builder, builder.emit(relax.op.nn.relu(x)), [5])
        return _concat(builder, [p, q, builder.emit(relax.op.negative(q))])

    after = apply(JoinParts(), module(build, MAP))
    assert widths(after) == [[12, 7]]
    assert operators(after) == ["nn.relu", "split", "negative", "concat"]


def test_slices_count_as_parts() -> None:
    def build(builder: Any, x: Any, y: Any) -> Any:
        parts = [_cut(builder, x, 0, 4), _cut(builder, x, 4, 12)]
        return _concat(builder, [y, *parts])

    assert widths(apply(JoinParts(), module(build, MAP, MAP))) == [[12, 12]]


def test_all_parts_alone_vanish() -> None:
    def build(builder: Any, x: Any) -> Any:
        return relax.op.tanh(_concat(builder, _items(builder, x, [3, 4])))

    assert operators(apply(JoinParts(), module(build, MAP))) == ["tanh"]


def test_growing_concatenations_nest() -> None:
    def build(builder: Any, x: Any, y: Any) -> Any:
        first = _concat(builder, [x, y])
        a = builder.emit(relax.op.tanh(first))
        second = _concat(builder, [x, y, a])
        b = builder.emit(relax.op.tanh(second))
        return _concat(builder, [x, y, a, b])

    assert widths(apply(JoinParts(), module(build, MAP, MAP))) == [[12, 12], [24, 24], [48, 48]]


def _other_order(builder: Any, x: Any) -> Any:
    p, q = _items(builder, x, [6])
    return _concat(builder, [q, p])


def _a_part_left_out(builder: Any, x: Any) -> Any:
    p, q, _ = _items(builder, x, [3, 8])
    return _concat(builder, [p, q])


def _of_two_tensors(builder: Any, x: Any) -> Any:
    y = builder.emit(relax.op.tanh(x))
    return _concat(builder, [_items(builder, x, [6])[0], _items(builder, y, [6])[1]])


def _along_another_axis(builder: Any, x: Any) -> Any:
    return _concat(builder, _items(builder, x, [6]), axis=2)


@pytest.mark.parametrize(
    "build", [_other_order, _a_part_left_out, _of_two_tensors, _along_another_axis]
)
def test_others_stay(build: Any) -> None:
    assert_untouched(JoinParts(), module(build, MAP))
