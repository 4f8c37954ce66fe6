"""Which elements of its parameters a kernel touches for a range of row tiles.

A processor that computes a range of a task's rows then waits for, and takes over, no more than
those of its inputs. Found from the stages by interval arithmetic, tile by tile, and laid out as a
line: tile i touches `size` elements from `begin + i * step` on. It may say more than is touched,
never less; where it cannot tell it says nothing, which stands for everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from .expression import Translator
from .interval import Interval, interval_of
from .program import NotStaged, Program, Stage, parse
from .scheduled import Scheduled

__all__ = ["ElementSpan", "footprints"]

_MOST_TILES = 512
"""Row tiles up to which each is looked at."""
_BY_ROW_PIXELS = frozenset({"conv2d", "depthwise", "linear", "matmul"})
_BY_ROWS = frozenset({"rowwise", "elementwise"})


@dataclass(frozen=True)
class ElementSpan:
    """Tile i touches elements from `begin + i * step` on, `size` of them."""

    begin: int
    step: int
    size: int


def footprints(func: tirx.PrimFunc, scheduled: Scheduled) -> tuple[ElementSpan | None, ...]:
    """A span for each parameter of `func`, None where nothing is known."""
    unknown: tuple[ElementSpan | None, ...] = (None,) * len(func.params)
    try:
        program = parse(func)
    except NotStaged:
        return unknown
    tile = _tile_elements(program, scheduled)
    if tile == 0 or scheduled.rows.extent > _MOST_TILES:
        return unknown
    reach = _Reach(program)
    total = math.prod(program.stages[-1].shape)
    ranges: list[list[Interval]] = [[] for _ in program.params]
    for index in range(scheduled.rows.extent):
        # A last tile that overlaps its predecessor is never cut off from it.
        found = reach.of_output(index * tile, min(index * tile + tile, total))
        for position, interval in enumerate(found):
            ranges[position].append(interval)
    sizes = [math.prod(int(dim) for dim in buffer.shape) for buffer in program.params]
    return tuple(_line(intervals, size) for intervals, size in zip(ranges, sizes, strict=True))


def _tile_elements(program: Program, scheduled: Scheduled) -> int:
    """Output elements of a row tile where tiles follow each other in memory, else 0."""
    if len(program.outputs) != 1 or not program.is_output(program.stages[-1].buffer):
        return 0
    shape, facts = program.stages[-1].shape, scheduled.facts
    if scheduled.kind in _BY_ROWS:
        tile = facts.row_pixels * facts.columns
    elif scheduled.kind in _BY_ROW_PIXELS and not facts.positions:
        tile = facts.row_pixels * shape[-1] if shape else 0
    else:
        return 0
    total = math.prod(shape)
    whole = tile > 0 and scheduled.rows.extent == -(-total // tile)
    return tile if whole and (total % tile == 0 or scheduled.heads == 0) else 0


def _line(intervals: Sequence[Interval], size: int) -> ElementSpan | None:
    """The narrowest line of the middle's slope over all intervals; None if it covers all."""
    middle = (len(intervals) - 1) // 2
    if len(intervals) < 2:
        return None
    step = intervals[middle + 1].low - intervals[middle].low
    if middle:
        step = max(step, intervals[middle].low - intervals[middle - 1].low)
    begin = min(interval.low - index * step for index, interval in enumerate(intervals))
    end = max(interval.high + 1 - index * step for index, interval in enumerate(intervals))
    return None if step <= 0 or end - begin >= size else ElementSpan(begin, step, end - begin)


class _Reach:
    """What of the parameters a range of the output needs."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._loads = {id(stage): _loads(stage) for stage in program.stages}
        self._found: list[Interval | None] = []

    def of_output(self, begin: int, end: int) -> list[Interval]:
        """Elements of each parameter that output elements [begin, end) need or are."""
        stage = self._program.stages[-1]
        self._found = [None] * len(self._program.params)
        written = Interval(begin, end - 1)
        self._found[-1] = written
        self._visit(stage, _box(begin, end - 1, stage.shape), written)
        return [Interval(0, -1) if found is None else found for found in self._found]

    def _visit(self, stage: Stage, box: Sequence[Interval], flat: Interval) -> None:
        """Follow what a stage reads for a box of its elements that lie between two flat offsets."""
        bounds = {axis.var: side for axis, side in zip(stage.spatial, box, strict=True)}
        bounds |= {axis.var: Interval(0, axis.extent - 1) for axis in stage.reduce}
        for load in self._loads[id(stage)]:
            read = [
                _within(index(bounds), extent)
                for index, extent in zip(load.indices, load.shape, strict=True)
            ]
            touched = _met(_flat(read, load.shape), _own_rows(stage, load, read, flat))
            maker = self._program.stage_of(load.buffer)
            if maker is not None:
                self._visit(maker, read, touched)
            else:
                self._note(load.buffer, touched)

    def _note(self, buffer: Any, read: Interval) -> None:
        position = next(i for i, b in enumerate(self._program.params) if b.same_as(buffer))
        old = self._found[position] or read
        self._found[position] = Interval(min(old.low, read.low), max(old.high, read.high))


@dataclass(frozen=True)
class _Load:
    """A read of a stage: evaluators of its indices, the first `own` of which are the stage's own
    axes of equal extents."""

    buffer: Any
    shape: tuple[int, ...]
    indices: tuple[Any, ...]
    own: int


def _loads(stage: Stage) -> list[_Load]:
    found: list[_Load] = []

    def load(buffer: Any, indices: Sequence[Any]) -> Any:
        shape = tuple(int(dim) for dim in buffer.shape)
        evaluators = tuple(interval_of(index) for index in indices)
        found.append(_Load(buffer, shape, evaluators, _own(stage, shape, evaluators)))
        return tirx.Var("loaded", str(buffer.dtype))  # an index made of it has no bounds

    Translator([], load, free=True)(stage.value)
    return found


def _own(stage: Stage, shape: Sequence[int], evaluators: Sequence[Any]) -> int:
    own = 0
    axes = {axis.var: Interval(0, axis.extent - 1) for axis in (*stage.spatial, *stage.reduce)}
    for axis, extent, index in zip(stage.spatial, shape, evaluators, strict=False):
        places = (Interval(place, place) for place in range(extent))
        if axis.extent != extent or any(index(axes | {axis.var: at}) != at for at in places):
            break
        own += 1
    return own


def _own_rows(stage: Stage, load: _Load, read: Sequence[Interval], flat: Interval) -> Interval:
    """Where a read follows the stage's own rows: those of a flat range, which a box may exceed."""
    inner = math.prod(stage.shape[load.own :])
    rest = _flat(read[load.own :], load.shape[load.own :])
    pitch = math.prod(load.shape[load.own :])
    return Interval(flat.low // inner * pitch + rest.low, flat.high // inner * pitch + rest.high)


def _met(one: Interval, other: Interval) -> Interval:
    """What two supersets have in common."""
    return Interval(max(one.low, other.low), min(one.high, other.high))


def _box(first: int, last: int, shape: Sequence[int]) -> list[Interval]:
    """The least box of indices that holds the flat elements from `first` to `last`."""
    box: list[Interval] = []
    inner = math.prod(shape)
    for extent in shape:
        inner //= extent
        low, high = first // inner, last // inner
        if low // extent != high // extent:
            box.append(Interval(0, extent - 1))
        else:
            box.append(Interval(low % extent, high % extent))
    return box


def _within(interval: Interval | None, extent: int) -> Interval:
    """The part inside an axis; all of it where nothing is known."""
    if interval is None:
        return Interval(0, extent - 1)
    low = min(max(interval.low, 0), extent - 1)
    return Interval(low, max(low, min(interval.high, extent - 1)))


def _flat(box: Sequence[Interval], shape: Sequence[int]) -> Interval:
    low = high = 0
    for side, extent in zip(box, shape, strict=True):
        low, high = low * extent + side.low, high * extent + side.high
    return Interval(low, high)
