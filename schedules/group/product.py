"""Linear layers and convolutions for OpenCL class `gpu`: products with packed constant weights.

A convolution is a product too: its rows are pixels, its sum runs over taps and channels in the
order of the packed weights, and what lies outside the map is staged as zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvm import tirx

from ..blocks.arithmetic import FLOAT32, Arithmetic
from ..blocks.epilogue import Epilogue
from ..blocks.frame import Param, i32
from ..blocks.half_tile import CHAIN, LEAST_CHAIN
from ..blocks.register_tile import ChannelTiles
from ..choice import GroupChoice
from ..expression import unravel
from ..facts import GROUPS_PER_UNIT, GroupFacts
from ..scheduled import GroupKernel, WorkGroup
from .frame import GroupFrame, TileSpan, group_kernel
from .tile import DEPTH, Element, GroupTile, Operand, TileShape, tile_shape

__all__ = ["GroupProduct", "Left", "group_product", "matrix_left"]

_HALVES = 8
"""float16 elements of one load: 128 bits."""
_TARGETS = ((64, 64), (32, 64), (32, 32), (16, 32))
"""Rows and columns of a work-group's tile, from the least traffic to the most work-groups."""

Left = Callable[[GroupFrame, Any, Any, Any, Any], Element]
"""From frame, activations, group of a convolution, row and position in the sum to a run of them."""


@dataclass(frozen=True)
class GroupProduct:
    """`out[q, n] = sum_k left(q, k) w[k, n]`, weights packed as for the CPU's kernels.

    Attributes
    ----------
    name
        What is computed.
    rows, tile_rows
        Rows of all tiles, and of one.
    depth
        Terms of the sum, in steps of the arithmetic.
    columns
        Channel tiles of one group.
    groups
        Groups of a convolution, all in one channel tile of the range if there are several.
    left
        Loads activations.
    run
        Terms of the sum that are neighbours in memory, from multiples of it on; 0 if all are.
    across
        Neighbouring rows are neighbours in memory instead.
    arithmetic
        What is multiplied.
    outside
        A step of activations beside the map.
    """

    name: str
    rows: int
    tile_rows: int
    depth: int
    columns: ChannelTiles
    left: Left
    run: int = 0
    groups: int = 1
    across: bool = False
    arithmetic: Arithmetic = FLOAT32
    outside: int = 0

    @property
    def panel(self) -> int:
        """Elements of one channel tile's weights."""
        return self.depth * self.columns.width


def group_product(
    product: GroupProduct, params: Sequence[Param], epilogue: Epilogue, operands: tuple[int, int],
    facts: GroupFacts, choice: GroupChoice,
) -> GroupKernel:  # fmt: skip
    """The kernel of `product`; `operands` are the positions of activations and weights."""
    facts = choice.on(facts)
    chained = in_half(params, operands, product.depth, facts)
    if chained:
        facts = replace(facts, vector=math.gcd(product.columns.width, _HALVES))
    tiles, shape = _choose(product, facts, choice, CHAIN if chained else 0)
    numbers = ", float16 products" if chained else ""
    group = WorkGroup(shape.items, tiles, f"work-group {product.name}, {shape}{numbers}")

    def body(frame: GroupFrame) -> None:
        x, weights = (frame.buffers[position] for position in operands)
        buffers = (x.numbers, weights.numbers) if chained else (x, weights)
        with frame.spans() as span:
            _Emitter(frame, product, shape, epilogue, buffers).span(span)

    return group_kernel(facts, group, params, body)


def in_half(
    params: Sequence[Param], operands: Sequence[int], depth: int, facts: GroupFacts
) -> bool:
    """Whether products of these operands are float16."""
    formats = [params[position].half for position in operands]
    return facts.f16 and depth >= LEAST_CHAIN and all(form and form.is_f16 for form in formats)


def _choose(
    product: GroupProduct, facts: GroupFacts, choice: GroupChoice, chain: int
) -> tuple[tuple[int, int], TileShape]:
    """Tiles of a work-group, and its shape: what is chosen, else the largest that occupies the
    device. No more than `chain` steps may be staged at once, if it is not 0."""
    units = -(-product.rows // product.tile_rows)
    widest = facts.items * facts.vector
    for rows, columns in _TARGETS:
        rows, columns = choice.rows or rows, min(choice.columns or columns, widest)
        high = max(1, min(rows // product.tile_rows, units))
        wide = max(1, min(columns // product.columns.width, product.columns.count))
        groups = -(-units // high) * -(-product.columns.count // wide)
        if groups >= GROUPS_PER_UNIT * facts.compute_units:
            break
    span = min(high * product.tile_rows, product.rows)
    even = -(-span // -(-span // rows))
    staged = choice.depth or chain or DEPTH
    staged = min(staged, chain) if chain else staged
    shape = tile_shape(even, wide * product.columns.width, product.depth, facts, staged)
    return (high, wide if product.groups == 1 else 1), shape


class _Emitter:
    """Emits the tiles of one work-group."""

    def __init__(
        self, frame: GroupFrame, product: GroupProduct, shape: TileShape, epilogue: Epilogue,
        operands: tuple[Any, Any],
    ) -> None:  # fmt: skip
        self._frame, self._product, self._shape = frame, product, shape
        self._epilogue, (self._x, self._weights) = epilogue, operands
        self._tile = GroupTile(frame, shape, str(self._weights.dtype))

    def span(self, span: TileSpan) -> None:
        """All rows of the group's tiles, in as many tiles of the work-group as that takes."""
        frame, product, shape = self._frame, self._product, self._shape
        end = tirx.min(span.row_end * product.tile_rows, i32(product.rows))
        end = frame.bind("end", end)
        most = min(frame.group.tiles[0] * product.tile_rows, product.rows)
        with frame.loop_with_sync(-(-most // shape.rows)) as piece:
            first = frame.bind("q", span.row * product.tile_rows + piece * shape.rows)
            if product.groups == 1:
                self._columns(first, end - first, i32(0), span.channel, span.channel_end)
            else:
                self._all_columns(first, end - first)

    def _all_columns(self, first: Any, rows: Any) -> None:
        frame, columns = self._frame, self._product.columns
        wide = self._shape.columns // columns.width
        with frame.loop_with_sync(self._product.groups) as group:
            with frame.loop_with_sync(-(-columns.count // wide)) as piece:
                block = frame.bind("block", piece * wide)
                last = tirx.min(block + wide, i32(columns.count))
                self._columns(first, rows, group, block, last)

    def _columns(self, first: Any, rows: Any, group: Any, block: Any, block_end: Any) -> None:
        """One tile of rows from `first` on, and of the channel tiles [block, block_end)."""
        frame, product, tile = self._frame, self._product, self._tile
        columns = product.columns
        last = frame.bind("last", first + rows - 1)

        def left(row: Any, k: Any) -> Element:
            return product.left(frame, self._x, group, tirx.min(first + row, last), k)

        def right(k: Any, column: Any) -> Element:
            panel = self._panel(group, tirx.min(block + column // columns.width, block_end - 1))
            base = panel + k * columns.width + column % columns.width
            return Element(lambda lane: self._weights[base + lane])

        tile.clear()
        tile.accumulate(
            product.depth,
            Operand(
                left, math.gcd(product.run, frame.facts.lanes), product.across, product.outside
            ),
            Operand(right, frame.facts.lanes),
        )
        own = frame.bind("own", block + tile.column // columns.width)
        with frame.when(own < block_end):
            self._store(first, rows, group, own)

    def _panel(self, group: Any, block: Any) -> Any:
        return (group * self._product.columns.count + block) * self._product.panel

    def _store(self, first: Any, rows: Any, group: Any, block: Any) -> None:
        frame, epilogue, columns = self._frame, self._epilogue, self._product.columns
        inner = frame.bind("inner", self._tile.column % columns.width)
        channel = frame.bind("first", group * columns.channels + columns.begin(block) + inner)

        def store(row: Any, lane: Any, accumulator: Any) -> None:
            q = frame.bind("at", first + row)
            at = [*unravel(q, epilogue.shape[:-1]), channel + lane]
            epilogue.store(frame, at, q * epilogue.pitch + channel + lane, accumulator)

        padded = columns.valid < columns.width
        self._tile.finish(rows, store, columns.valid - inner if padded else None)


def matrix_left(pitch: int, arithmetic: Arithmetic) -> Left:
    """Rows of a matrix, `pitch` steps apart."""

    def load(frame: GroupFrame, x: Any, _group: Any, row: Any, k: Any) -> Element:
        base = frame.bind("x", row * pitch + k)
        return Element(lambda lane: arithmetic.left(frame.facts, x, base + lane))

    return load
