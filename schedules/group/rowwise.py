"""Element-wise chains, pooling, reductions, softmax and norms for OpenCL class `gpu`.

The same rows and tiles as on the CPU (`rowwise.layout`). Programs of one stage deal out all its
elements to the items. Others go row by row: the items share a row, and what they reduce to one
number meets in a tree in local memory; where rows are short, each item takes rows of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from ..blocks.frame import cast_for, i32, program_params
from ..expression import Translator, unravel
from ..facts import GROUPS_PER_UNIT, GroupFacts
from ..program import Program, Stage
from ..rowwise.layout import RowLayout, in_place_inputs, row_layout
from ..rowwise.values import RowValues
from ..scheduled import GroupKernel, WorkGroup
from ..segments import breakpoints, fold_conditions
from .frame import GroupFrame, TileSpan, group_kernel

__all__ = ["group_rowwise"]

_SHORT_ROW = 128
"""Elements below which sharing a row costs more in barriers than it gains."""
_PER_ITEM = 4
"""Elements (or vectors) worth an item."""


def group_rowwise(program: Program, facts: GroupFacts) -> GroupKernel:
    """The kernel of a program for which `rowwise` found a layout."""
    layout = row_layout(program)
    length = max(_row_work(stage, layout) for stage in layout.kept) // layout.blocks
    whole_rows = layout.blocks == 1
    params = program_params(program)
    if whole_rows and len(layout.kept) == 1 and _row_size(layout.kept[0], layout) > 1:
        vectors = layout.group * _row_size(layout.kept[0], layout) // facts.vector
        group = _deal(layout, max(1, vectors), _PER_ITEM, facts, "elements dealt out")
        emitter: type[_Rows] = _Elements
    elif whole_rows and length < _SHORT_ROW:
        group = _deal(layout, layout.group, 1, facts, "a row an item")
        emitter = _RowAnItem
    else:
        items = _power_of_two(min(facts.items, max(facts.sub_group, length // _PER_ITEM)))
        group = WorkGroup((items, 1), (1, 1), f"work-group, {items} items share a row")
        emitter = _SharedRow

    def body(frame: GroupFrame) -> None:
        with frame.spans() as span:
            emitter(program, layout, frame).span(span)

    shareable = in_place_inputs(program, layout)
    return group_kernel(facts, group, params, body, no_alias=not shareable)


def _deal(layout: RowLayout, pieces: int, per_item: int, facts: GroupFacts, text: str) -> WorkGroup:
    """A work-group for tiles of so many pieces: large, but enough of them for the device."""
    enough = -(-pieces * layout.tiles // (GROUPS_PER_UNIT * facts.compute_units))
    wanted = min(max(enough, facts.sub_group), per_item * facts.items)
    tiles = max(1, wanted // pieces)
    whole = -(-tiles * pieces // facts.sub_group) * facts.sub_group
    return WorkGroup((min(facts.items, whole), 1), (tiles, 1), f"work-group, {text}")


def _row_size(stage: Stage, layout: RowLayout) -> int:
    return math.prod(stage.shape[layout.prefix :])


def _row_work(stage: Stage, layout: RowLayout) -> int:
    return _row_size(stage, layout) * math.prod(axis.extent for axis in stage.reduce)


def _power_of_two(limit: int) -> int:
    return 1 << (limit.bit_length() - 1)


class _Rows(RowValues):
    """Statements that compute the stages of one row, or of several at once."""

    def __init__(self, program: Program, layout: RowLayout, frame: GroupFrame) -> None:
        super().__init__(program, layout, frame)
        self._frame = frame
        self._first: Any = i32(0)

    def span(self, span: TileSpan) -> None:
        """All rows of the group's tiles."""
        raise NotImplementedError

    def _row(self, row: Any) -> None:
        self._scalars = []
        for stage in self._layout.kept:
            if _row_size(stage, self._layout) == 1:
                self._scalar_stage(stage, row)
            else:
                outer = math.prod(stage.shape[self._layout.prefix : -1])
                self._elements(stage, row * outer, outer)
                self._after_elements()

    def _share(self, extent: Any, body: Callable[[Any], None]) -> None:
        """`body` for every index below `extent`, as the items divide a row."""
        with self._frame.loop(extent) as index:
            body(index)

    def _gather(self, stage: Stage, cell: Any) -> None:
        """Combine the items' partial results in `cell`."""

    def _after_elements(self) -> None:
        """Let all items see what each has stored."""

    def _elements(self, stage: Stage, lead: Any, leads: Any) -> None:
        """`leads` rows of the last axis from number `lead` on, of a stage with elements."""
        memory, last = self._memory(stage), stage.spatial[-1].extent
        if self._layout.blocks > 1:
            rows, last = i32(self._layout.rows), self._layout.width
            self._first = self._frame.bind("first", tirx.floordiv(lead, rows) * last)
            lead = self._frame.bind("lead", tirx.floormod(lead, rows))
        if stage.reduce:
            self._pieces(leads, 0, last, lambda at, lanes: self._reduced(stage, lead, at, lanes))
            return
        var = tirx.Var("z", "int32")
        places = [tirx.Var(f"p{d}", "int32") for d in range(len(stage.shape) - 1)]
        value = cast_for(memory, self._value(stage, [*places, var], []))
        whole = [(0, last)] if self._layout.blocks > 1 else breakpoints(value, var, last)
        for start, stop in whole:
            piece = fold_conditions(value, var, start, stop)
            self._pieces(
                leads, start, stop,
                lambda at, lanes, piece=piece: self._plain(  # type: ignore[misc]
                    stage, (lead, *at), lanes, [*places, var], piece
                ),
            )  # fmt: skip

    def _pieces(
        self, leads: Any, start: int, stop: int, body: Callable[[tuple[Any, Any], int], None]
    ) -> None:
        """`body((row, element), lanes)` for elements [start, stop) of `leads` rows."""
        lanes = self._frame.facts.lanes
        whole = (stop - start) // lanes * lanes
        for begin, end, step in ((start, start + whole, lanes), (start + whole, stop, 1)):
            runs = (end - begin) // step
            if runs == 0:
                continue

            def run(index: Any, begin: int = begin, step: int = step, runs: int = runs) -> None:
                row = self._frame.bind("lead", index // runs)
                element = self._frame.bind("e", self._first + index % runs * step + begin)
                body((row, element), step)

            self._share(leads * runs, run)

    def _plain(
        self, stage: Stage, place: Sequence[Any], lanes: int, variables: Sequence[Any], value: Any
    ) -> None:
        lead, row, element = place
        at = self._coordinates(stage, lead + row)
        base = self._frame.bind("at", self._place(stage, [*at, element]))
        memory = self._memory(stage)

        def store(lane: Any) -> None:
            pairs = list(zip(variables, [*at, element + lane], strict=True))
            self._frame.store(memory, base + lane, Translator(pairs, None, free=True)(value))

        self._lanes(lanes, store)

    def _reduced(self, stage: Stage, lead: Any, place: tuple[Any, Any], lanes: int) -> None:
        frame, memory = self._frame, self._memory(stage)
        row, element = place
        at = self._coordinates(stage, lead + row)
        base = frame.bind("at", self._place(stage, [*at, element]))
        cell = frame.local("v", lanes, str(stage.buffer.dtype))
        init = self._init(stage, cell)
        self._lanes(lanes, lambda lane: frame.store(cell, lane, init))

        def term(lane: Any, over: list[Any]) -> None:
            value = cast_for(cell, self._value(stage, [*at, element + lane], over))
            frame.store(cell, lane, stage.combine(cell[lane], value))

        self._nest(stage, [], lambda over: self._lanes(lanes, lambda lane: term(lane, over)))
        self._lanes(lanes, lambda lane: frame.store(memory, base + lane, cell[lane]))

    def _nest(self, stage: Stage, over: list[Any], body: Callable[[list[Any]], None]) -> None:
        axes = stage.reduce[len(over) :]
        if not axes:
            body(over)
        elif axes[0].extent == 1:
            self._nest(stage, [*over, i32(0)], body)
        else:
            with self._frame.loop(axes[0].extent) as index:
                self._nest(stage, [*over, index], body)

    def _scalar_stage(self, stage: Stage, row: Any) -> None:
        """A stage with one element per row: known to every item, stored if it is an output."""
        frame = self._frame
        leads = unravel(row, self._program.stages[-1].shape[: self._layout.prefix])
        at = [*leads, *[i32(0)] * (len(stage.shape) - len(leads))]
        cell = frame.local("s", 1, str(stage.buffer.dtype))
        if stage.reduce:
            frame.store(cell, 0, self._init(stage, cell))
            extents = [axis.extent for axis in stage.reduce]

            def term(index: Any) -> None:
                value = cast_for(cell, self._value(stage, at, unravel(index, extents)))
                frame.store(cell, 0, stage.combine(cell[0], value))

            self._share(math.prod(extents), term)
            self._gather(stage, cell)
        else:
            frame.store(cell, 0, cast_for(cell, self._value(stage, at, [])))
        self._scalars.append((stage.buffer, cell))
        if self._program.is_output(stage.buffer):
            self._store_scalar(stage, self._place(stage, at), cell)

    def _store_scalar(self, stage: Stage, flat: Any, cell: Any) -> None:
        self._frame.store(self._memory(stage), flat, cell[0])

    def _init(self, stage: Stage, cell: Any) -> Any:
        return cast_for(cell, Translator([], self._load)(stage.init))

    def _coordinates(self, stage: Stage, lead: Any) -> list[Any]:
        return [
            place if isinstance(place, tirx.IntImm) else self._frame.bind("i", place)
            for place in unravel(lead, stage.shape[:-1])
        ]

    def _lanes(self, lanes: int, body: Callable[[Any], None]) -> None:
        if lanes == 1:
            body(i32(0))
            return
        with T.vectorized(0, lanes) as lane:
            body(lane)


class _Elements(_Rows):
    """One stage: all elements of the group's rows dealt out."""

    def span(self, span: TileSpan) -> None:
        (stage,) = self._layout.kept
        outer = self._layout.group * math.prod(stage.shape[self._layout.prefix : -1])
        tiles = span.row_end - span.row if self._frame.group.tiles[0] > 1 else 1
        self._elements(stage, span.row * outer, tiles * outer)

    def _share(self, extent: Any, body: Callable[[Any], None]) -> None:
        self._frame.each(extent, body)


class _RowAnItem(_Rows):
    """Short rows: every item computes rows of its own."""

    def span(self, span: TileSpan) -> None:
        group = self._layout.group
        rows = (span.row_end - span.row) * group if self._frame.group.tiles[0] > 1 else group
        self._frame.each(rows, lambda index: self._row(span.row * group + index))


class _SharedRow(_Rows):
    """Long rows: all items compute one row together."""

    def span(self, span: TileSpan) -> None:
        with self._frame.loop_with_sync(self._layout.group) as inner:
            self._row(self._frame.bind("row", span.row * self._layout.group + inner))

    def _share(self, extent: Any, body: Callable[[Any], None]) -> None:
        self._frame.each(extent, body)

    def _after_elements(self) -> None:
        self._frame.sync_memory()

    def _gather(self, stage: Stage, cell: Any) -> None:
        """A tree: half of the items take over the other half's results, and so on."""
        frame = self._frame
        partial = frame.shared("partial", frame.group.count, str(stage.buffer.dtype))
        frame.store(partial, frame.item, cell[0])
        frame.sync()
        half = frame.group.count // 2
        while half:
            with frame.when(frame.item < half):
                both = stage.combine(partial[frame.item], partial[frame.item + half])
                frame.store(partial, frame.item, both)
            frame.sync()
            half //= 2
        frame.store(cell, 0, partial[0])
        frame.sync()

    def _store_scalar(self, stage: Stage, flat: Any, cell: Any) -> None:
        with self._frame.when(self._frame.item == 0):
            super()._store_scalar(stage, flat, cell)
        self._frame.sync_memory()
