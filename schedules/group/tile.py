"""The tile of a work-group: operands staged in local memory, a small register tile an item.

Products are float32, or float16: then a sum of `CHAIN` of them at most is float16 too, the same as
on CPUs, and such sums are added up in float32. Items are laid out `columns / vector` wide, so that
neighbours load and store neighbouring vectors; the rows are dealt out in turn, so that no row of
items idles at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from ..facts import GroupFacts
from .cells import clear, multiply_add, store_bytes
from .frame import GroupFrame

__all__ = ["DEPTH", "Element", "GroupTile", "Operand", "TileShape", "tile_shape"]

DEPTH = 16
"""Steps of the sum staged at once: 8 KiB for a tile of 64 x 64."""
_ITEM_BYTES = 4
"""Of an element in local memory: a device without float16 keeps it as float32."""


@dataclass(frozen=True)
class TileShape:
    """A tile of `rows` x `columns`, its sum taken `depth` steps at a time by `items`."""

    rows: int
    columns: int
    depth: int
    items: tuple[int, int]

    @property
    def row_steps(self) -> int:
        """Rows of one item."""
        return -(-self.rows // self.items[1])

    @property
    def padded_rows(self) -> int:
        """Rows in local memory, those that no item stores included."""
        return self.row_steps * self.items[1]

    def __str__(self) -> str:
        wide, high = self.items
        return f"{self.rows}x{self.columns} tile, {wide}x{high} items, {self.depth} deep"


def tile_shape(
    rows: int, columns: int, depth: int, facts: GroupFacts, most: int = DEPTH
) -> TileShape:
    """Items for a tile of at most `rows` x `columns` of a sum of `depth` terms.

    At most `most` terms are staged at once; `columns` is a multiple of the vector; fewer rows than
    asked for result where an item's accumulators or the local memory do not suffice.
    """
    wide = columns // facts.vector
    assert wide * facts.vector == columns, (columns, facts)
    steps = facts.accumulators // facts.vector
    high = max(1, min(facts.items // wide, -(-rows // max(1, steps // 2))))
    high = _whole_sub_groups(wide, high, rows, facts)
    room = facts.local_bytes // (_ITEM_BYTES * 2 * columns)
    staged = min(depth, most if most <= room else DEPTH)
    staged = max(1, min(staged, facts.local_bytes // (_ITEM_BYTES * (columns + high))))
    by_memory = facts.local_bytes // (_ITEM_BYTES * staged) - columns
    rows = min(rows, high * steps, max(1, by_memory // high) * high)
    return TileShape(rows, columns, staged, (wide, high))


def _whole_sub_groups(wide: int, high: int, rows: int, facts: GroupFacts) -> int:
    """Rows of items so that they fill whole sub-groups, where that does not exceed the tile."""
    for more in range(high, min(rows, facts.items // wide) + 1):
        if wide * more % facts.sub_group == 0:
            return more
    return high


@dataclass(frozen=True)
class Element:
    """A run of an operand's elements.

    Attributes
    ----------
    load
        From the lane in the run to the value.
    inside
        Condition under which the run exists, else it is the operand's `outside`; None is always.
    """

    load: Callable[[Any], Any]
    inside: Any = None


@dataclass(frozen=True)
class Operand:
    """A matrix to be staged.

    Attributes
    ----------
    element
        The run at `(outer, inner)`.
    lanes
        Length of the runs along `inner`, which they begin at multiples of.
    across
        Whether neighbouring items take neighbours along `outer` instead of `inner`.
    outside
        What stands for elements that do not exist.
    """

    element: Callable[[Any, Any], Element]
    lanes: int
    across: bool = False
    outside: int = 0


class GroupTile:
    """Accumulators of one tile, spread over the items, and local memory for both operands.

    Parameters
    ----------
    frame
        Kernel being built, inside its `spans`.
    shape
        Tile and items; those of `frame.group`.
    dtype
        Element type of operands and products; with float16, what is staged at once is a chain. Of
        int32 each is a word of four bytes, whose products are added up.
    """

    def __init__(self, frame: GroupFrame, shape: TileShape, dtype: str = "float32") -> None:
        self._frame, self._shape = frame, shape
        self._vector, self._dtype = frame.facts.lanes, dtype
        self._left = frame.shared("left", shape.padded_rows * shape.depth, dtype)
        self._right = frame.shared("right", shape.depth * shape.columns, dtype)
        self._cells = self._accumulators("acc", "int32" if dtype == "int32" else "float32")
        self._chains = self._accumulators("chain", dtype) if dtype == "float16" else self._cells
        self._weights = frame.local("w", self._vector, dtype)

    def _accumulators(self, name: str, dtype: str) -> list[Any]:
        steps = range(self._shape.row_steps)
        return [self._frame.local(name, self._vector, dtype) for _ in steps]

    def clear(self) -> None:
        """Start a new sum."""
        clear(self._frame, self._cells)

    def accumulate(self, depth: int, left: Operand, right: Operand) -> None:
        """`acc[i, c] += sum_k left(i, k) * right(k, c)` for k below `depth`."""
        whole, rest = divmod(depth, self._shape.depth)
        if whole == 1:
            self._chunk(tirx.IntImm("int32", 0), self._shape.depth, left, right)
        elif whole > 1:
            with self._frame.loop(whole) as chunk:
                self._chunk(chunk * self._shape.depth, self._shape.depth, left, right)
        if rest:
            start = tirx.IntImm("int32", whole * self._shape.depth)
            self._chunk(start, rest, left, right)

    def _chunk(self, start: Any, depth: int, left: Operand, right: Operand) -> None:
        shape, frame = self._shape, self._frame
        self._stage(
            self._left, (shape.rows, depth), (shape.depth, 1), left,
            lambda row, k: left.element(row, start + k),
        )  # fmt: skip
        self._stage(
            self._right, (depth, shape.columns), (shape.columns, 1), right,
            lambda k, column: right.element(start + k, column),
        )  # fmt: skip
        frame.sync()
        self._products(depth)
        frame.sync()

    def _products(self, depth: int) -> None:
        """The products of what is staged."""
        chained = self._chains is not self._cells
        if chained:
            clear(self._frame, self._chains)
        with self._frame.loop(depth) as k:
            self._multiply_add(k)
        if chained:
            self._add_chains()

    def _add_chains(self) -> None:
        for cell, chain in zip(self._cells, self._chains, strict=True):
            with self._lanes() as lane:
                term = tirx.Cast("float32", chain[lane])
                self._frame.store(cell, lane, cell[lane] + term)

    def _stage(
        self, memory: Any, extents: tuple[int, int], strides: tuple[int, int], operand: Operand,
        element: Callable[[Any, Any], Element],
    ) -> None:  # fmt: skip
        """Copy a block of an operand to local memory, dealt out to all items."""
        frame, across = self._frame, operand.across
        lanes = operand.lanes if extents[1] % operand.lanes == 0 else 1
        runs = extents[1] // lanes

        def copy(index: Any) -> None:
            outer = index % extents[0] if across else index // runs
            inner = (index // extents[0] if across else index % runs) * lanes
            outer, inner = frame.bind("outer", outer), frame.bind("inner", inner)
            run = element(outer, inner)
            target = frame.bind("target", outer * strides[0] + inner * strides[1])
            outside = tirx.const(operand.outside, self._dtype)
            frame.otherwise(
                run.inside,
                lambda: self._store(memory, target, lanes, run.load),
                lambda: self._store(memory, target, lanes, lambda _lane: outside),
            )

        frame.each(extents[0] * runs, copy)

    def _store(self, memory: Any, target: Any, lanes: int, value: Callable[[Any], Any]) -> None:
        if lanes == 1:
            self._frame.store(memory, target, value(tirx.IntImm("int32", 0)))
            return
        with T.vectorized(0, lanes) as lane:
            self._frame.store(memory, target + lane, value(lane))

    def _multiply_add(self, k: Any) -> None:
        frame, shape, w = self._frame, self._shape, self._weights
        with self._lanes() as lane:
            frame.store(w, lane, self._right[k * shape.columns + self.column + lane])
        for step, cell in enumerate(self._chains):
            scalar = frame.bind("x", self._left[self.row(step) * shape.depth + k])
            multiply_add(frame, cell, scalar, w)

    @property
    def column(self) -> Any:
        """The item's first column in the tile."""
        return self._frame.x * self._vector

    def row(self, step: Any) -> Any:
        """The item's row number `step` in the tile."""
        return self._frame.y + step * self._shape.items[1]

    def finish(
        self, rows: Any, store: Callable[[Any, Any, Any], None], columns: Any = None
    ) -> None:
        """`store(row, lane, accumulator)` for the item's rows below `rows`.

        Parameters
        ----------
        columns
            The item's valid lanes: None stores whole vectors, a number or an expression only so
            many of them.
        """
        if self._dtype == "int32":
            self._finish_bytes(rows, store, columns)
            return
        for step, cell in enumerate(self._cells):
            row = self._frame.bind("i", self.row(step))
            with self._frame.when(row < rows):
                self._finish_row(row, cell, store, columns)

    def _finish_bytes(
        self, rows: Any, store: Callable[[Any, Any, Any], None], columns: Any
    ) -> None:
        def one(step: Any, lane: Any, value: Any) -> None:
            row = self._frame.bind("i", self.row(step))
            kept = row < rows if columns is None else tirx.And(row < rows, lane < columns)
            with self._frame.when(kept):
                store(row, lane, value)

        store_bytes(self._frame, self._cells, one)

    def _finish_row(
        self, row: Any, cell: Any, store: Callable[[Any, Any, Any], None], columns: Any
    ) -> None:
        if columns is None:
            with self._lanes() as lane:
                store(row, lane, cell[lane])
            return
        for c in range(self._vector):
            lane = tirx.IntImm("int32", c)
            with self._frame.when(lane < columns):
                store(row, lane, cell[c])

    def _lanes(self) -> Any:
        return T.vectorized(0, self._vector)
