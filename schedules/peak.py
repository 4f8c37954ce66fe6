"""A kernel that does nothing but multiply-adds in registers: the peak that others are held against.

Every tile runs independent chains `a = a * x + y`, as many as a register tile has accumulators, so
that the multiply-add units never wait for one another or for memory.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from .blocks.frame import Frame, Param, build_kernel
from .facts import DeviceFacts
from .scheduled import Scheduled, TileGrid

__all__ = ["peak"]

_TILES = 64
_STEPS = 2048
"""Of a chain: a tile takes some 10 us, far more than it costs to start one."""


def peak(facts: DeviceFacts) -> Scheduled:
    """The kernel `(x[lanes], y[lanes]) -> out[tiles, lanes]` for the register file of `facts`."""
    chains, lanes = facts.max_rows * facts.vectors, facts.lanes

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        params = [Param(size, "float32") for size in (lanes, lanes, _TILES * lanes)]
        return build_kernel(symbol, params, device, lambda frame: _emit(frame, chains, lanes))

    flops = 2 * _TILES * _STEPS * chains * lanes
    return Scheduled("peak", emit, TileGrid(_TILES), flops=flops)


def _emit(frame: Frame, chains: int, lanes: int) -> None:
    x, y, out = frame.buffers
    with frame.tiles() as (tile, _):
        factor, term = frame.local("x", lanes), frame.local("y", lanes)
        cells = [frame.local("a", lanes) for _ in range(chains)]
        _each_lane(frame, lanes, factor, lambda lane: x[lane])
        _each_lane(frame, lanes, term, lambda lane: y[lane])
        for number, cell in enumerate(cells):
            start = tirx.FloatImm("float32", float(number))
            _each_lane(frame, lanes, cell, lambda lane, start=start: term[lane] + start)
        with frame.loop(_STEPS):
            for cell in cells:
                _each_lane(
                    frame,
                    lanes,
                    cell,
                    lambda lane, cell=cell: cell[lane] * factor[lane] + term[lane],
                )
        with T.vectorized(0, lanes) as lane:
            total = cells[0][lane]
            for cell in cells[1:]:
                total = total + cell[lane]
            frame.store(out, tile * lanes + lane, total)


def _each_lane(frame: Frame, lanes: int, cell: Any, value: Any) -> None:
    with T.vectorized(0, lanes) as lane:
        frame.store(cell, lane, value(lane))
