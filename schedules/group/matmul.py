"""Batched products of two computed matrices for OpenCL class `gpu`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import sym, tirx
from tvm.ir.expr import TensorLoad

from ..blocks.arithmetic import Arithmetic
from ..blocks.epilogue import Epilogue
from ..blocks.frame import Param, i32
from ..choice import GroupChoice
from ..expression import unravel
from ..facts import GroupFacts
from ..int8.dot import word_at
from ..scheduled import GroupKernel, WorkGroup
from .frame import GroupFrame, group_kernel
from .tile import DEPTH, Element, GroupTile, Operand, TileShape, tile_shape

__all__ = ["GroupMatmul", "group_matmul"]

_TILE = 64
"""Rows and columns of a work-group's tile, at most, where no others are chosen."""

Load = Callable[[GroupFrame, int, Sequence[Any], Any], Any]
"""From frame, operand (0 or 1), output coordinates and position in the sum to the value."""


@dataclass(frozen=True)
class GroupMatmul:
    """`batch` products of `m x k` by `k x n`; a row tile is `tile_rows` rows of one batch.

    Attributes
    ----------
    load
        Reads an operand; of a step of several elements the first.
    arithmetic
        What is multiplied; `k` counts its steps.
    """

    batch: tuple[int, ...]
    m: int
    n: int
    k: int
    tile_rows: int
    load: Load
    arithmetic: Arithmetic

    @property
    def tiles(self) -> int:
        """Row tiles of one batch."""
        return -(-self.m // self.tile_rows)


def group_matmul(
    product: GroupMatmul, params: Sequence[Param], epilogue: Epilogue, facts: GroupFacts,
    choice: GroupChoice,
) -> GroupKernel:  # fmt: skip
    """The kernel of `product`: one row tile a work-group, all columns one after the other."""
    facts = choice.on(facts)
    columns = min(choice.columns or _TILE, -(-product.n // facts.vector) * facts.vector)
    rows = min(product.tile_rows, product.m)
    even = -(-rows // -(-rows // (choice.rows or _TILE)))
    shape = tile_shape(even, columns, product.k, facts, choice.depth or DEPTH)
    group = WorkGroup(shape.items, (1, 1), f"work-group {product.arithmetic.name}matmul, {shape}")
    return group_kernel(
        facts, group, params, lambda frame: _Emitter(frame, product, shape, epilogue).kernel()
    )


class _Emitter:
    def __init__(
        self, frame: GroupFrame, product: GroupMatmul, shape: TileShape, epilogue: Epilogue
    ) -> None:
        self._frame, self._product, self._shape = frame, product, shape
        self._epilogue = epilogue

    def kernel(self) -> None:
        frame, p, shape = self._frame, self._product, self._shape
        with frame.spans() as span:
            tile = GroupTile(frame, shape, p.arithmetic.packed)
            batch = frame.bind("batch", tirx.floordiv(span.row, i32(p.tiles)))
            begin = frame.bind("begin", tirx.floormod(span.row, i32(p.tiles)) * p.tile_rows)
            end = frame.bind("end", tirx.min(begin + p.tile_rows, i32(p.m)))
            with frame.loop_with_sync(-(-min(p.tile_rows, p.m) // shape.rows)) as piece:
                first = frame.bind("first", begin + piece * shape.rows)
                with frame.loop_with_sync(-(-p.n // shape.columns)) as block:
                    column = frame.bind("column", block * shape.columns)
                    self._tile(tile, batch, (first, end), column)

    def _tile(self, tile: GroupTile, batch: Any, rows: tuple[Any, Any], column: Any) -> None:
        frame, p = self._frame, self._product
        first, end = rows
        leads = unravel(batch, p.batch)
        last = frame.bind("last", end - 1)

        def left(row: Any, k: Any) -> Element:
            row = frame.bind("r", tirx.min(first + row, last))
            return Element(lambda lane: self._word([*leads, row, i32(0)], k + lane))

        def right(k: Any, inner: Any) -> Element:
            at = frame.bind("c", column + inner)
            inside = at < p.n if p.n % self._shape.columns else None
            return Element(lambda lane: p.load(frame, 1, [*leads, i32(0), at + lane], k), inside)

        tile.clear()
        tile.accumulate(p.k, self._left(left), self._right(right))
        self._store(tile, batch, rows, column)

    def _word(self, at: Sequence[Any], k: Any) -> Any:
        """A step of the left operand."""
        p = self._product
        first = p.load(self._frame, 0, at, k)
        if p.arithmetic.group == 1:
            return first
        return word_at(self._frame.facts, first.source, first.indices[0])

    def _left(self, element: Callable[[Any, Any], Element]) -> Operand:
        group = self._product.arithmetic.group
        along_k = self._stride(0, lambda at, step: (at, step)) == group
        lanes = self._frame.facts.lanes if along_k and group == 1 else 1
        return Operand(element, lanes, across=not along_k)

    def _right(self, element: Callable[[Any, Any], Element]) -> Operand:
        """Vectors along the columns, where these are neighbours in memory and fill vectors."""
        lanes = self._frame.facts.lanes
        if self._stride(1, lambda at, step: ([*at[:-1], step], i32(0))) == 1:
            return Operand(element, lanes if self._product.n % lanes == 0 else 1)
        return Operand(element, 1, across=True)

    def _stride(
        self, which: int, place: Callable[[list[Any], Any], tuple[Sequence[Any], Any]]
    ) -> int:
        """Distance in memory of an operand's elements one step apart; 0 where it is not fixed."""
        step = tirx.Var("step", "int32")
        origin: list[Any] = [i32(0)] * (len(self._product.batch) + 2)
        at, k = place(origin, step)
        index = _index_read(self._product.load(self._frame, which, at, k))
        terms = sym.detect_linear_equation(index, [step])
        return int(terms[0]) if len(terms) == 2 and isinstance(terms[0], tirx.IntImm) else 0

    def _store(self, tile: GroupTile, batch: Any, rows: tuple[Any, Any], column: Any) -> None:
        frame, p = self._frame, self._product
        first, end = rows
        own = frame.bind("own", column + tile.column)
        leads = unravel(batch, p.batch)

        def store(row: Any, lane: Any, accumulator: Any) -> None:
            row = frame.bind("r", first + row)
            at = [*leads, row, own + lane]
            self._epilogue.store(frame, at, (batch * p.m + row) * p.n + own + lane, accumulator)

        whole = p.n % frame.facts.lanes == 0
        with frame.when(own < p.n if p.n % self._shape.columns else None):
            tile.finish(end - first, store, None if whole else p.n - own)


def _index_read(value: Any) -> Any:
    """Where `value` is read, with or without a conversion from 16 bits around it."""
    found: list[Any] = []
    tvm_ffi.structural_walk(value, (TensorLoad, found.append))
    return found[0].indices[0]
