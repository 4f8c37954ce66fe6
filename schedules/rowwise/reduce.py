"""Reductions of one row: to a register, or to a row of vectors.

Several vectors are accumulated at a time, so that additions do not wait for each other. Padding of
a window, a condition on each term, becomes bounds of the loops over the window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import ir, sym, tirx

from ..blocks.frame import Frame, i32
from ..expression import IF_THEN_ELSE, Translator, as_dtype
from ..program import Axis, Stage

__all__ = ["Value", "reduce_to_row", "reduce_to_scalar"]

Value = Callable[[Sequence[Any], Sequence[Any]], Any]
"""A term of the stage at row coordinates and reduction coordinates."""

_VECTORS = 4
"""Accumulators in flight: what the latency of an addition asks for."""
_UNROLLED_TERMS = 9
"""Windows up to 3x3 are written out."""
_LESS_THAN_ZERO: Mapping[type, tuple[int, int]] = {
    tirx.LT: (1, 0),
    tirx.LE: (1, -1),
    tirx.GT: (-1, 0),
    tirx.GE: (-1, -1),
}
"""Factor and summand that turn `d ? 0` into `factor * d + summand < 0` for integers."""


@dataclass(frozen=True)
class _Range:
    """Steps [begin, begin + count) of one reduction axis."""

    begin: Any
    count: Any


def reduce_to_scalar(
    frame: Frame, stage: Stage, value: Value, at: Sequence[Any], cell: Any
) -> None:
    """Store the reduction of a row in `cell[0]`."""
    lanes = frame.facts.lanes
    *outer, last = stage.reduce
    frame.store(cell, 0, _init(stage))
    if last.extent < lanes or stage.combiner == "prod":
        _nest(frame, outer, lambda o: _scalar_terms(frame, stage, value, at, cell, o, 0))
        return
    whole = last.extent // lanes
    cells = _accumulators(frame, stage, min(_VECTORS, whole) if lanes > 1 else 1, lanes)

    def body(over: Sequence[Any]) -> None:
        def chunk(index: Any, some: Sequence[Any]) -> None:
            for j, vector in enumerate(some):
                with frame.lanes(lanes) as lane:
                    term = value(at, [*over, (index + j) * lanes + lane])
                    term = as_dtype(term, str(vector.dtype))
                    frame.store(vector, lane, stage.combine(vector[lane], term))

        with frame.loop(whole // len(cells)) as index:
            chunk(index * len(cells), cells)
        if whole % len(cells):
            chunk(i32(whole - whole % len(cells)), cells[: whole % len(cells)])
        if last.extent % lanes:
            _scalar_terms(frame, stage, value, at, cell, over, whole * lanes)

    _nest(frame, outer, body)
    total = cells[0][0] if lanes == 1 else _across_lanes(frame, stage, cells)
    frame.store(cell, 0, stage.combine(cell[0], total))


def _scalar_terms(
    frame: Frame, stage: Stage, value: Value, at: Sequence[Any], cell: Any, over: Sequence[Any],
    start: int,
) -> None:  # fmt: skip
    with frame.loop(stage.reduce[-1].extent - start) as k:
        term = as_dtype(value(at, [*over, k + start]), str(cell.dtype))
        frame.store(cell, 0, stage.combine(cell[0], term))


def _across_lanes(frame: Frame, stage: Stage, cells: Sequence[Any]) -> Any:
    """All lanes of all vectors combined, by halves."""
    every = tirx.Ramp(i32(0), i32(1), frame.facts.lanes)
    total = cells[0][every]
    for cell in cells[1:]:
        total = stage.combine(total, cell[every])
    whole = frame.bind("lanes", total)
    parts = [tirx.Shuffle([whole], [i32(lane)]) for lane in range(frame.facts.lanes)]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [stage.combine(*pair) for pair in zip(parts[:half], parts[half:], strict=True)]
    return parts[0]


def reduce_to_row(
    frame: Frame, stage: Stage, value: Value, at: Sequence[Any], extent: int,
    store: Callable[[Any, Any], None],
) -> None:  # fmt: skip
    """Reduce `extent` neighbouring elements from `at` on, and `store(offset, vector)` each."""
    lanes = frame.facts.lanes
    ranges = _window_bounds(stage, value, at)
    emit = _RowReducer(frame, stage, value, at, ranges, store)
    whole = extent // lanes
    together = min(_VECTORS, whole)
    if together:
        with frame.loop(whole // together) as block:
            emit.vectors(block * (together * lanes), together, lanes)
    if together and whole % together:
        emit.vectors(i32((whole - whole % together) * lanes), whole % together, lanes)
    frame.tail(whole * lanes, extent, lambda offset, width: emit.vectors(offset, 1, width))


@dataclass(frozen=True)
class _RowReducer:
    frame: Frame
    stage: Stage
    value: Value
    at: Sequence[Any]
    ranges: Sequence[_Range] | None
    store: Callable[[Any, Any], None]

    def vectors(self, offset: Any, count: int, lanes: int) -> None:
        """Reduce and store `count` vectors of `lanes` elements."""
        frame, stage = self.frame, self.stage
        cells = _accumulators(frame, stage, count, lanes)

        def body(over: Sequence[Any]) -> None:
            for j, cell in enumerate(cells):
                with frame.lanes(lanes) as lane:
                    place = self.at[-1] + offset + j * lanes + lane
                    term = self.value([*self.at[:-1], place], over)
                    if self.ranges is not None:
                        term = term.args[1]
                    frame.store(
                        cell, lane, stage.combine(cell[lane], as_dtype(term, str(cell.dtype)))
                    )

        if self.ranges is None:
            _nest(frame, stage.reduce, body)
        else:
            self._bounded(self.ranges, [], body)
        for j, cell in enumerate(cells):
            with frame.lanes(lanes) as lane:
                self.store(offset + j * lanes + lane, cell[lane])

    def _bounded(
        self, ranges: Sequence[_Range], over: list[Any], body: Callable[[Sequence[Any]], None]
    ) -> None:
        if not ranges:
            body(over)
            return
        begin = self.frame.bind("begin", ranges[0].begin)
        with self.frame.loop(ranges[0].count) as step:
            index = self.frame.bind("tap", begin + step)
            self._bounded(ranges[1:], [*over, index], body)


def _accumulators(frame: Frame, stage: Stage, count: int, lanes: int) -> list[Any]:
    cells = [frame.local("v", lanes, str(stage.buffer.dtype)) for _ in range(count)]
    for cell in cells:
        with frame.lanes(lanes) as lane:
            frame.store(cell, lane, _init(stage))
    return cells


def _init(stage: Stage) -> Any:
    return as_dtype(Translator([], None)(stage.init), str(stage.buffer.dtype))


def _nest(frame: Frame, axes: Sequence[Axis], body: Callable[[Sequence[Any]], None]) -> None:
    """Loops over `axes` round `body(indices)`; few steps are written out."""
    unrolled = math.prod(axis.extent for axis in axes) <= _UNROLLED_TERMS

    def level(rest: Sequence[Axis], over: list[Any]) -> None:
        if not rest:
            body(over)
        elif unrolled or rest[0].extent == 1:
            for index in range(rest[0].extent):
                level(rest[1:], [*over, i32(index)])
        else:
            with frame.loop(rest[0].extent) as index:
                level(rest[1:], [*over, index])

    level(axes, [])


def _window_bounds(stage: Stage, value: Value, at: Sequence[Any]) -> Sequence[_Range] | None:
    """Ranges of the reduction axes outside of which a term is the start value.

    None where the terms are no condition, or one that is not a bound of each axis apart.
    """
    taps = [tirx.Var("tap", "int32") for _ in stage.reduce]
    lane = tirx.Var("z", "int32")
    term = value([*at[:-1], at[-1] + lane], taps)
    if not isinstance(term, ir.Call) or getattr(term.op, "name", "") != IF_THEN_ELSE:
        return None
    condition, _, other = term.args
    if not _same_constant(other, _init(stage)):
        return None
    starts: list[list[Any]] = [[i32(0)] for _ in taps]
    stops: list[list[Any]] = [[i32(axis.extent)] for axis in stage.reduce]
    for conjunct in _conjuncts(condition):
        axis = _note_bound(conjunct, taps, lane, starts, stops)
        if axis is None:
            return None
    return [_range(begin, end) for begin, end in zip(starts, stops, strict=True)]


def _range(starts: Sequence[Any], stops: Sequence[Any]) -> _Range:
    begin, end = starts[0], stops[0]
    for start in starts[1:]:
        begin = tirx.max(begin, start)
    for stop in stops[1:]:
        end = tirx.min(end, stop)
    return _Range(begin, tirx.max(i32(0), end - begin))


def _note_bound(
    conjunct: Any, taps: Sequence[Any], lane: Any, starts: list[list[Any]], stops: list[list[Any]]
) -> int | None:
    """Add the bound that a comparison sets to one of `taps`; its number, None if it sets none."""
    kind = _LESS_THAN_ZERO.get(type(conjunct))
    if kind is None or str(conjunct.a.ty.dtype) != "int32":
        return None
    factor, summand = kind
    terms = sym.detect_linear_equation(
        sym.Analyzer().simplify(factor * (conjunct.a - conjunct.b) + summand), [*taps, lane]
    )
    if len(terms) != len(taps) + 2 or not all(isinstance(t, tirx.IntImm) for t in terms[:-1]):
        return None
    slopes = [int(term) for term in terms[:-1]]
    used = [axis for axis, slope in enumerate(slopes) if slope]
    if len(used) != 1 or used[0] == len(taps):
        return None
    slope, base = slopes[used[0]], terms[-1]
    if slope > 0:  # slope * tap < -base
        stops[used[0]].append(tirx.floordiv(slope - 1 - base, i32(slope)))
    else:  # -slope * tap > base
        starts[used[0]].append(tirx.floordiv(base, i32(-slope)) + 1)
    return used[0]


def _conjuncts(condition: Any) -> list[Any]:
    if isinstance(condition, tirx.And):
        return [*_conjuncts(condition.a), *_conjuncts(condition.b)]
    return [condition]


def _same_constant(left: Any, right: Any) -> bool:
    both = isinstance(left, tirx.FloatImm) and isinstance(right, tirx.FloatImm)
    return both and float(left.value) == float(right.value)
