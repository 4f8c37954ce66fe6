"""Batched products of two computed matrices (attention): nothing to pack, cut by heads or rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvm import tirx

from hetcomp.cost.kernel_facts import KernelFacts

from ..blocks.arithmetic import FLOAT32, Arithmetic
from ..blocks.epilogue import Epilogue, anchor_operands, load_operand, operand_index
from ..blocks.frame import Frame, build_kernel, i32, program_params
from ..blocks.register_tile import Steps, load_run, row_tile, tiles_per_unit
from ..choice import Choice, Space
from ..facts import DeviceFacts, GroupFacts
from ..group.matmul import GroupMatmul, group_matmul
from ..int8.dot import word_at
from ..program import NotStaged, Program, Stage
from ..scheduled import GroupKernel, Scheduled, TileGrid
from ..spaces import PRODUCT_KNOBS, tile_space
from ..strides import place_of

__all__ = ["matmul"]


@dataclass(frozen=True)
class _Product:
    """`batch` products of `m x k` by `k x n`, `k` in steps of the arithmetic; a unit is
    `per_unit` row tiles of one batch."""

    arithmetic: Arithmetic
    batch: tuple[int, ...]
    m: int
    n: int
    k: int
    height: int
    width: int
    per_unit: int
    choice: Choice

    @property
    def batches(self) -> int:
        return math.prod(self.batch)

    @property
    def tiles(self) -> int:
        return -(-self.m // self.height)

    @property
    def units(self) -> int:
        return -(-self.tiles // self.per_unit)

    @property
    def ragged(self) -> bool:
        last_alone = (self.tiles - 1) % self.per_unit == 0 and self.units > 1
        return self.m % self.height != 0 and last_alone


def matmul(
    program: Program,
    anchor: Stage,
    facts: DeviceFacts,
    choice: Choice,
    arithmetic: Arithmetic = FLOAT32,
) -> Scheduled:
    """Schedule a product of two activations with any leading batch axes.

    The right operand of a product of bytes is a tensor of words, and its sums are over words, see
    `hetcomp.passes.integer_anchors`.
    """
    if len(anchor.reduce) != 1 or len(anchor.shape) < 2:
        raise NotStaged("a matrix product needs two axes and one reduction")
    operands = anchor_operands(program, anchor, (arithmetic.operands[0], arithmetic.packed))
    epilogue = Epilogue(program, anchor)
    product = _product(anchor, facts, choice, arithmetic)
    params = program_params(program)

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        return build_kernel(
            symbol,
            params,
            device,
            lambda frame: _Emitter(frame, program, anchor, product, epilogue, operands).kernel(),
        )

    def for_groups(device: GroupFacts) -> GroupKernel:
        p, rows = product, product.per_unit * product.height

        def load(frame: Frame, which: int, at: Sequence[Any], k: Any) -> Any:
            return load_operand(program, anchor, frame, operands[which], at, k)

        shared = GroupMatmul(p.batch, p.m, p.n, p.k, rows, load, arithmetic)
        return group_matmul(shared, params, epilogue, device, choice.group)

    heads = product.batches if product.batches > 1 else 0
    reason = (
        f"rows, cut between the {heads} heads: each is independent"
        if heads
        else "rows: both operands are activations"
    )
    return Scheduled(
        kind="matmul",
        emit=emit,
        rows=TileGrid(product.batches * product.units, product.ragged),
        flops=2 * product.batches * product.m * product.n * product.k * arithmetic.group,
        axis_reason=reason,
        heads=heads,
        for_groups=for_groups,
        space=_space(_product(anchor, facts, Choice(), arithmetic), facts),
        single_bytes=arithmetic is not FLOAT32,
        facts=_facts(product),
    )


def _facts(product: _Product) -> KernelFacts:
    return KernelFacts(
        pixels=product.batches * product.m,
        columns=product.n,
        depth=product.k,
        taps=1,
        map_taps=1.0,
        step=product.arithmetic.group,
        tile_height=product.height,
        tile_width=product.width,
        row_pixels=product.per_unit * product.height,
    )


def _space(default: _Product, facts: DeviceFacts) -> Space:
    return tile_space(
        facts,
        rows=default.m,
        channels=default.n,
        height=default.height,
        width=default.width,
        per_unit=default.per_unit,
        tiles=default.tiles,
        group=PRODUCT_KNOBS,
        not_of_groups=("vectors",),
    )


def _product(anchor: Stage, facts: DeviceFacts, choice: Choice, arithmetic: Arithmetic) -> _Product:
    *batch, m, n = anchor.shape
    k = anchor.reduce[0].extent
    width = choice.vectors * facts.lanes if choice.vectors else facts.tile_channels
    while width > n:
        width //= 2
    height = choice.height or row_tile(m, facts.max_rows)
    tiles = -(-m // height)
    flops = 2 * height * n * k
    per_unit = choice.per_unit or min(tiles, tiles_per_unit(tiles * math.prod(batch), flops))
    product = _Product(arithmetic, tuple(batch), m, n, k, height, width, per_unit, choice)
    while product.batches > 1 and product.ragged:
        # A cut must not part two tiles that overlap, and with several heads there is one such
        # pair in each: put both into one unit.
        product = replace(product, per_unit=product.per_unit + 1)
    return product


class _Emitter:
    def __init__(
        self, frame: Frame, program: Program, anchor: Stage, product: _Product,
        epilogue: Epilogue, operands: Sequence[int],
    ) -> None:  # fmt: skip
        self._frame, self._program, self._anchor = frame, program, anchor
        self._product, self._epilogue, self._operands = product, epilogue, operands

    def kernel(self) -> None:
        frame, p = self._frame, self._product
        with frame.tiles() as (index, _):
            batch = frame.bind("batch", tirx.floordiv(index, p.units))
            unit = frame.bind("unit", tirx.floormod(index, p.units))
            count: Any = p.per_unit
            if p.tiles % p.per_unit:
                count = tirx.min(i32(p.per_unit), p.tiles - unit * p.per_unit)
            with frame.loop(count) as inner:
                row = frame.bind("row", self._clamp(unit * p.per_unit + inner, p.height, p.m))
                with frame.loop(-(-p.n // p.width)) as block:
                    column = frame.bind("column", self._clamp(block, p.width, p.n))
                    self._tile(batch, row, column)

    def _clamp(self, tile: Any, size: int, extent: int) -> Any:
        if extent % size == 0:
            return tile * size
        return tirx.min(tile * size, i32(extent - size))

    def _tile(self, batch: Any, row: Any, column: Any) -> None:
        frame, p = self._frame, self._product
        leads = self._unravel(batch)
        left, right = (frame.buffers[position] for position in self._operands)
        tile = p.arithmetic.on(frame, 0, left, right).arithmetic.tile(frame, p.height, p.width)
        k = tirx.Var("k", "int32")
        step = place_of(self._index(0, [*leads, row, column], k), {}).stride(k)
        tile.accumulate(
            Steps(p.k, p.choice.on(frame.facts).unroll or 1, neighbours=step == 1),
            lambda i, k, run: self._left([*leads, row + i, column], k, run),
            lambda k: (
                self._words([*leads, row, column], k)
                if p.arithmetic.group > 1
                else lambda c: self._operand(1, [*leads, row, column + c], k)
            ),
            range(p.height),
        )
        tile.finish(
            lambda i, c, acc: self._epilogue.store(
                frame,
                [*leads, row + i, column + c],
                (batch * p.m + row + i) * p.n + column + c,
                acc,
            )
        )

    def _unravel(self, batch: Any) -> list[Any]:
        coordinates: list[Any] = []
        stride = self._product.batches
        rest = batch
        for extent in self._product.batch:
            stride //= extent
            if extent == 1:
                coordinates.append(i32(0))
                continue
            coordinates.append(rest if stride == 1 else tirx.floordiv(rest, i32(stride)))
            rest = rest if stride == 1 else tirx.floormod(rest, i32(stride))
        return coordinates

    def _left(self, at: Sequence[Any], k: Any, run: int) -> Any:
        """The left operand from step `k` on; of several steps only where they are neighbours."""
        facts, buffer = self._frame.facts, self._frame.buffers[self._operands[0]]
        index = self._index(0, at, k)
        if self._product.arithmetic.group == 1:
            return load_run(buffer, index, run)
        return word_at(facts, buffer, index, run)

    def _words(self, at: Sequence[Any], k: Any) -> Callable[[Any], Any]:
        """The right operand's words at a distance from a column; they are dense."""
        words = self._frame.buffers[self._operands[1]]
        place = self._frame.offset("words", self._index(1, at, k))
        return lambda c: words[place + c]

    def _operand(self, which: int, at: Sequence[Any], k: Any) -> Any:
        return self._frame.buffers[self._operands[which]][self._index(which, at, k)]

    def _index(self, which: int, at: Sequence[Any], k: Any) -> Any:
        return operand_index(self._program, self._anchor, self._operands[which], at, k)
