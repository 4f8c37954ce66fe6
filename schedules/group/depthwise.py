"""Depthwise convolution for OpenCL class `gpu`: pixels and vectors of channels dealt out to items.

Neighbouring items take neighbouring channels, so that maps and weights are read in order. Nothing
is staged: the windows of neighbouring pixels overlap in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from ..blocks.epilogue import Epilogue
from ..blocks.frame import Param, i32
from ..blocks.window import Window
from ..expression import unravel
from ..facts import GroupFacts
from ..scheduled import GroupKernel, WorkGroup
from .frame import GroupFrame, TileSpan, group_kernel
from .window import inside_map

__all__ = ["group_depthwise"]

_RUNS_PER_ITEM = 2
"""Vectors that an item computes, at least, where a tile is one short row."""


def group_depthwise(
    window: Window, params: Sequence[Param], epilogue: Epilogue, operands: tuple[int, int],
    in_pitch: int, facts: GroupFacts,
) -> GroupKernel:  # fmt: skip
    """One filter per channel; a row tile is one output row.

    Parameters
    ----------
    operands
        Positions of map and weights.
    in_pitch
        Elements between neighbouring pixels of the map.
    """
    channels = epilogue.shape[-1]
    lanes = math.gcd(channels, facts.vector)
    runs = window.out_width * channels // lanes
    items = min(facts.items, -(-runs // facts.sub_group) * facts.sub_group)
    rows = max(1, min(window.out_height, _RUNS_PER_ITEM * items // runs))
    group = WorkGroup((items, 1), (rows, 1), f"work-group depthwise, {rows} rows, {items} items")

    def body(frame: GroupFrame) -> None:
        with frame.spans() as span:
            _Emitter(frame, window, epilogue, operands, in_pitch, lanes).span(span)

    return group_kernel(facts, group, params, body)


class _Emitter:
    def __init__(
        self, frame: GroupFrame, window: Window, epilogue: Epilogue, operands: tuple[int, int],
        in_pitch: int, lanes: int,
    ) -> None:  # fmt: skip
        self._in_pitch = in_pitch
        self._frame, self._window, self._epilogue = frame, window, epilogue
        self._x, self._weights = (frame.buffers[position] for position in operands)
        self._lanes, self._channels = lanes, epilogue.shape[-1]

    def span(self, span: TileSpan) -> None:
        """Runs of `lanes` channels of all pixels of the group's rows."""
        runs = self._window.out_width * (self._channels // self._lanes)
        rows = span.row_end - span.row if self._frame.group.tiles[0] > 1 else 1
        self._frame.each(rows * runs, lambda index: self._run(span.row * runs + index))

    def _run(self, index: Any) -> None:
        frame, w = self._frame, self._window
        runs = self._channels // self._lanes
        pixel = frame.bind("pixel", tirx.floordiv(index, i32(runs)))
        channel = frame.bind("c", tirx.floormod(index, i32(runs)) * self._lanes)
        image, out_row, out_column = unravel(pixel, (w.batch, w.out_height, w.out_width))
        cell = frame.local("acc", self._lanes)
        self._each_lane(lambda lane: frame.store(cell, lane, tirx.FloatImm("float32", 0.0)))
        with frame.loop(w.kernel_h) as kh:
            row = frame.bind("h", out_row * w.stride_h - w.pad_top + kh * w.dilation_h)
            with frame.loop(w.kernel_w) as kw:
                column = frame.bind("w", out_column * w.stride_w - w.pad_left + kw * w.dilation_w)
                with frame.when(inside_map(w, row, column)):
                    self._tap(cell, (image, row, column), kh * w.kernel_w + kw, channel)
        self._store(cell, pixel, channel)

    def _tap(self, cell: Any, place: Sequence[Any], tap: Any, channel: Any) -> None:
        frame, w = self._frame, self._window
        image, row, column = place
        pixel = (image * w.height + row) * w.width + column
        x = frame.bind("x", pixel * self._in_pitch + channel)
        weight = frame.bind("k", tap * self._channels + channel)
        self._each_lane(
            lambda lane: frame.store(
                cell, lane, cell[lane] + self._x[x + lane] * self._weights[weight + lane]
            )
        )

    def _store(self, cell: Any, pixel: Any, channel: Any) -> None:
        epilogue = self._epilogue
        leads = unravel(pixel, epilogue.shape[:-1])
        self._each_lane(
            lambda lane: epilogue.store(
                self._frame,
                [*leads, channel + lane],
                pixel * epilogue.pitch + channel + lane,
                cell[lane],
            )
        )

    def _each_lane(self, body: Any) -> None:
        if self._lanes == 1:
            body(i32(0))
            return
        with T.vectorized(0, self._lanes) as lane:
            body(lane)
