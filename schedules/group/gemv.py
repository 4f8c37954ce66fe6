"""Linear layers of a few rows for OpenCL class `gpu`: bound by reading the weights once.

A work-group computes one channel tile. Its items are as wide as the tile in vectors, and high as
many parts of the sum: neighbours read neighbouring weights, and the parts meet in a tree in local
memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from ..blocks.epilogue import Epilogue
from ..blocks.frame import Param, i32
from ..choice import GroupChoice
from ..expression import unravel
from ..facts import GroupFacts
from ..scheduled import GroupKernel, WorkGroup
from .cells import clear, multiply_add, store_bytes
from .frame import GroupFrame, TileSpan, group_kernel
from .product import GroupProduct

__all__ = ["FEW_ROWS", "group_gemv"]

FEW_ROWS = 4
"""Rows up to which a tile of the work-group would mostly be empty."""
_LEAST_TERMS = 8
"""Terms of an item below which it gains nothing from another part."""


def group_gemv(
    product: GroupProduct, params: Sequence[Param], epilogue: Epilogue, operands: tuple[int, int],
    facts: GroupFacts, choice: GroupChoice,
) -> GroupKernel:  # fmt: skip
    """The kernel of a `product` of at most `FEW_ROWS` rows, all in one row tile."""
    facts = choice.on(facts)
    wide = product.columns.width // facts.vector
    by_memory = facts.local_bytes // (4 * product.rows * product.columns.width)
    most = max(1, min(facts.items // wide, by_memory, product.depth // _LEAST_TERMS))
    parts = 1 << (most.bit_length() - 1)
    name = f"{product.arithmetic.name}GEMV"
    text = f"work-group {name}, {product.columns.width} columns, sum in {parts} parts"
    group = WorkGroup((wide, parts), (1, 1), text)

    def body(frame: GroupFrame) -> None:
        with frame.spans() as span:
            _Emitter(frame, product, epilogue, operands).span(span)

    return group_kernel(facts, group, params, body)


class _Emitter:
    def __init__(
        self, frame: GroupFrame, product: GroupProduct, epilogue: Epilogue,
        operands: tuple[int, int],
    ) -> None:  # fmt: skip
        self._frame, self._product, self._epilogue = frame, product, epilogue
        self._x, self._weights = (frame.buffers[position] for position in operands)
        self._parts = frame.group.items[1]
        self._column = frame.x * frame.facts.lanes
        self._dtype = product.arithmetic.packed

    def span(self, span: TileSpan) -> None:
        """One channel tile of all rows."""
        frame, product = self._frame, self._product
        lanes, rows = frame.facts.lanes, range(product.rows)
        cells = [frame.local("acc", lanes, self._dtype) for _ in rows]
        clear(frame, cells)
        self._sum(cells, span.channel)
        if self._parts > 1:
            self._gather(cells)
        with frame.when(frame.y == 0 if self._parts > 1 else None):
            self._store(cells, span.channel)

    def _sum(self, cells: Sequence[Any], block: Any) -> None:
        """Add up the item's part of the terms."""
        frame, product, parts = self._frame, self._product, self._parts
        w = frame.local("w", frame.facts.lanes, self._dtype)
        panel = frame.bind("panel", block * product.panel + self._column)
        with frame.loop(-(-product.depth // parts)) as step:
            k = frame.bind("k", step * parts + frame.y)
            with frame.when(k < product.depth if product.depth % parts else None):
                self._each_lane(w, lambda c: self._weights[panel + k * product.columns.width + c])
                for row, cell in enumerate(cells):
                    run = product.left(frame, self._x, i32(0), i32(row), k)
                    multiply_add(frame, cell, frame.bind("x", run.load(i32(0))), w)

    def _gather(self, cells: Sequence[Any]) -> None:
        frame, width = self._frame, self._product.columns.width
        size = len(cells) * width
        partial = frame.shared("partial", self._parts * size, self._dtype)
        own = [
            frame.bind("own", frame.y * size + row * width + self._column)
            for row in range(len(cells))
        ]
        for place, cell in zip(own, cells, strict=True):
            self._each_lane(partial, lambda c, cell=cell: cell[c], place)
        frame.sync()
        half = self._parts // 2
        while half:
            with frame.when(frame.y < half):
                for at in own:
                    self._each_lane(
                        partial,
                        lambda c, at=at, half=half: partial[at + c] + partial[at + half * size + c],
                        at,
                    )
            frame.sync()
            half //= 2
        for place, cell in zip(own, cells, strict=True):
            self._each_lane(cell, lambda c, place=place: partial[place + c])

    def _store(self, cells: Sequence[Any], block: Any) -> None:
        frame, epilogue, columns = self._frame, self._epilogue, self._product.columns
        first = frame.bind("first", columns.begin(block) + self._column)

        def store(row: Any, lane: Any, value: Any) -> None:
            at = [*unravel(row, epilogue.shape[:-1]), first + lane]
            epilogue.store(frame, at, row * epilogue.pitch + first + lane, value)

        def kept(row: Any, lane: Any, value: Any) -> None:
            padded = columns.valid < columns.width
            with frame.when(self._column + lane < columns.valid if padded else None):
                store(row, lane, value)

        if self._dtype != "float32":
            store_bytes(frame, cells, kept)
            return
        for row, cell in enumerate(cells):
            if columns.valid == columns.width:
                with T.vectorized(0, frame.facts.lanes) as lane:
                    store(i32(row), lane, cell[lane])
                continue
            for c in range(frame.facts.lanes):
                kept(i32(row), i32(c), cell[c])

    def _each_lane(self, target: Any, value: Any, start: Any = 0) -> None:
        with T.vectorized(0, self._frame.facts.lanes) as lane:
            self._frame.store(target, start + lane, value(lane))
