"""Attention of a block of rows of one head: scores in a cache, both products in register tiles.

A row tile computes its scores for all keys, turns them into weights, and mixes the values, one
tile of channels after the other. Weights are divided by their sum at the very end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from hetcomp.cost.kernel_facts import KernelFacts

from .. import math as vector_math
from ..blocks.frame import Frame, build_kernel, i32, program_params
from ..blocks.register_tile import ChannelTiles, RegisterTile, channel_tiles, row_tile
from ..expression import Translator, flat_index
from ..facts import DeviceFacts
from ..program import NotStaged, Program, Stage
from ..scheduled import Scheduled, TileGrid

__all__ = ["attention"]

_STAGES = 6
_SCORES_BYTES = 32 << 10
"""Scores of a row tile; OpenCL devices have that much local memory, CPUs that much first cache."""
_HIDDEN = float("-inf")
"""Score of the keys that fill the last vector: below every mask, so that they never count."""


@dataclass(frozen=True)
class _Attention:
    """Sizes: batch and heads, `rows` x `keys` scores each, in tiles of `height` rows that lie
    `pitch` apart. `swapped`: the output's heads come behind its rows."""

    heads: tuple[int, int]
    rows: int
    keys: int
    depth: int
    columns: ChannelTiles
    height: int
    pitch: int
    swapped: bool

    @property
    def tiles(self) -> int:
        """Row tiles of a head."""
        return -(-self.rows // self.height)


def attention(program: Program, anchor: Stage, facts: DeviceFacts) -> Scheduled:
    """Schedule the six stages that `hetcomp.passes.attention` makes.

    Raises
    ------
    NotStaged
        There are other stages than these.
    """
    if len(program.stages) != _STAGES or program.stages[0] is not anchor:
        raise NotStaged("other operators are fused with the attention")
    shape = _shape(program, anchor, facts)
    params = program_params(program)

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        return build_kernel(
            symbol, params, device, lambda frame: _Emitter(program, shape, frame).kernel()
        )

    heads = math.prod(shape.heads)
    products = heads * shape.rows * shape.keys * (shape.depth + shape.columns.channels)
    return Scheduled(
        kind="attention",
        emit=emit,
        rows=TileGrid(heads * shape.tiles),
        flops=2 * products,
        axis_reason=f"rows, cut between the {heads} heads: each is independent",
        heads=heads,
        pitched=frozenset(range(len(params))),
        facts=KernelFacts(
            pixels=heads * shape.rows,
            columns=shape.keys,
            depth=shape.depth + shape.columns.channels,
            taps=1,
            map_taps=1.0,
            tile_height=shape.height,
            tile_width=shape.columns.width,
            row_pixels=shape.height,
        ),
    )


def _shape(program: Program, anchor: Stage, facts: DeviceFacts) -> _Attention:
    batch, heads, rows, keys = anchor.shape
    pitch = -(-keys // facts.lanes) * facts.lanes
    row_bytes = 4 * (pitch + 1)  # and the inverse of their sum
    highest = max(1, min(facts.max_rows, _SCORES_BYTES // row_bytes))
    width = program.stages[-1].shape[-1]
    return _Attention(
        heads=(batch, heads),
        rows=rows,
        keys=keys,
        depth=anchor.reduce[0].extent,
        columns=channel_tiles(width, facts.lanes, facts.vectors),
        height=row_tile(rows, highest),
        pitch=pitch,
        swapped=bool(int(anchor.annotations["hetcomp.swapped"])),
    )


class _Emitter:
    def __init__(self, program: Program, shape: _Attention, frame: Frame) -> None:
        self._program, self._shape, self._frame = program, shape, frame
        self._scores, self._logits, *_, self._mixed = program.stages
        self._memory: Any = None
        self._lead: list[Any] = []

    def kernel(self) -> None:
        frame, s = self._frame, self._shape
        with frame.tiles_with_scratch(s.height * (s.pitch + 1)) as (index, memory):
            self._memory = memory
            head = frame.bind("head", tirx.floordiv(index, s.tiles))
            tile = frame.bind("tile", tirx.floormod(index, s.tiles))
            row = frame.bind("row", tile * s.height)
            batch: Any = i32(0)
            if s.heads[0] > 1:
                batch, head = tirx.floordiv(head, s.heads[1]), tirx.floormod(head, s.heads[1])
            self._lead = [batch, head]
            rest = s.rows % s.height
            if not rest:
                self._rows(row, s.height)
                return
            with frame.choose(tile < s.tiles - 1) as (whole, last):
                with whole:
                    self._rows(row, s.height)
                with last:
                    self._rows(row, rest)

    def _rows(self, row: Any, height: int) -> None:
        frame, s = self._frame, self._shape
        width = frame.facts.tile_channels
        while width > s.keys:
            width //= 2
        with frame.loop(-(-s.keys // width)) as block:
            self._score_tile(
                row, frame.bind("first", _clamped(block, width, s.keys)), height, width
            )
        with frame.loop(height) as i:
            self._softmax(i)
        with frame.loop(s.columns.count) as block:
            self._mix_tile(row, frame.bind("column", s.columns.begin(block)), height)

    def _score_tile(self, row: Any, first: Any, height: int, width: int) -> None:
        tile, memory, s = RegisterTile(self._frame, height, width), self._memory, self._shape
        with self._frame.loop(s.depth) as d:
            tile.multiply_add(
                lambda i: self._operands(self._scores, [*self._lead, row + i, first], [d])[0],
                lambda c: self._operands(self._scores, [*self._lead, row, first + c], [d])[1],
                range(height),
            )

        def store(i: int, c: Any, value: Any) -> None:
            logit = self._logit([*self._lead, row + i, first + c], value)
            self._frame.store(memory, i * s.pitch + first + c, logit)

        tile.finish(store)

    def _softmax(self, i: Any) -> None:
        """Row `i` of the scores to weights, and the inverse of their sum behind all rows."""
        frame, s, lanes = self._frame, self._shape, self._frame.facts.lanes
        memory, start = self._memory, self._frame.bind("start", i * s.pitch)
        with frame.loop(s.pitch - s.keys) as pad:
            frame.store(memory, start + s.keys + pad, tirx.FloatImm("float32", _HIDDEN))
        top = self._reduced(_HIDDEN, tirx.max, lambda at, _: memory[start + at])
        total = frame.local("total", lanes)
        self._vector(lambda lane: frame.store(total, lane, tirx.FloatImm("float32", 0.0)))
        with frame.loop(s.pitch // lanes) as chunk:
            with frame.lanes(lanes) as lane:
                at = start + chunk * lanes + lane
                frame.store(memory, at, vector_math.exp(memory[at] - top[0]))
            with frame.lanes(lanes) as lane:
                frame.store(total, lane, total[lane] + memory[start + chunk * lanes + lane])
        sum_cell = frame.local("sum", 1)
        frame.store(sum_cell, 0, total[0])
        for lane in range(1, lanes):
            frame.store(sum_cell, 0, sum_cell[0] + total[lane])
        inverse = tirx.FloatImm("float32", 1.0) / sum_cell[0]
        frame.store(memory, s.height * s.pitch + i, inverse)

    def _reduced(
        self, init: float, combine: Callable[[Any, Any], Any], term: Callable[[Any, Any], Any]
    ) -> Any:
        """A buffer of one element: `combine` over a row of scores."""
        frame, lanes = self._frame, self._frame.facts.lanes
        vector, cell = frame.local("v", lanes), frame.local("s", 1)
        self._vector(lambda lane: frame.store(vector, lane, tirx.FloatImm("float32", init)))
        with frame.loop(self._shape.pitch // lanes) as chunk:
            with frame.lanes(lanes) as lane:
                value = term(chunk * lanes + lane, lane)
                frame.store(vector, lane, combine(vector[lane], value))
        frame.store(cell, 0, vector[0])
        for lane in range(1, lanes):
            frame.store(cell, 0, combine(cell[0], vector[lane]))
        return cell

    def _vector(self, body: Callable[[Any], None]) -> None:
        with self._frame.lanes(self._frame.facts.lanes) as lane:
            body(lane)

    def _mix_tile(self, row: Any, column: Any, height: int) -> None:
        frame, s, memory = self._frame, self._shape, self._memory
        tile = RegisterTile(frame, height, s.columns.width)
        with frame.loop(s.keys) as j:
            tile.multiply_add(
                lambda i: memory[i * s.pitch + j],
                lambda c: self._operands(self._mixed, self._output(row, column + c), [j])[0],
                range(height),
            )
        shape = self._program.memory_shape(len(self._program.params) - 1)

        def store(i: int, c: Any, value: Any) -> None:
            at = flat_index(shape, self._output(row + i, column + c))
            frame.store(frame.buffers[-1], at, value * memory[s.height * s.pitch + i])

        tile.finish(store, s.columns.valid)

    def _output(self, row: Any, column: Any) -> list[Any]:
        """Coordinates in the output, whose heads may lie behind the rows."""
        batch, head = self._lead
        return [batch, row, head, column] if self._shape.swapped else [batch, head, row, column]

    def _operands(self, stage: Stage, at: Sequence[Any], over: Sequence[Any]) -> list[Any]:
        """The loads of parameters in a term of `stage`, in order."""
        found: list[Any] = []

        def load(buffer: Any, indices: Sequence[Any]) -> Any:
            if self._program.stage_of(buffer) is None:
                found.append(self._param(buffer, indices))
            return tirx.const(0, str(buffer.dtype))

        pairs = [(axis.var, index) for axis, index in zip(stage.spatial, at, strict=True)]
        pairs += [(axis.var, index) for axis, index in zip(stage.reduce, over, strict=True)]
        Translator(pairs, load)(stage.value)
        return found

    def _logit(self, at: Sequence[Any], score: Any) -> Any:
        """The value of the second stage where the first one's is `score`."""

        def load(buffer: Any, indices: Sequence[Any]) -> Any:
            return score if self._program.stage_of(buffer) else self._param(buffer, indices)

        pairs = [(a.var, index) for a, index in zip(self._logits.spatial, at, strict=True)]
        return Translator(pairs, load)(self._logits.value)

    def _param(self, buffer: Any, indices: Sequence[Any]) -> Any:
        position = next(i for i, b in enumerate(self._program.params) if b.same_as(buffer))
        shape = self._program.memory_shape(position)
        return self._frame.buffers[position][flat_index(shape, indices)]


def _clamped(block: Any, size: int, extent: int) -> Any:
    return block * size if extent % size == 0 else tirx.min(block * size, i32(extent - size))
