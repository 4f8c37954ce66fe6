"""Depthwise convolution for OpenCL class `gpu`: pixels and vectors of channels dealt out to items.

Neighbouring items take neighbouring channels, so that maps and weights are read in order. Nothing
is staged: the windows of neighbouring pixels overlap in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from ..blocks.epilogue import Epilogue
from ..blocks.frame import Param, i32
from ..blocks.window import Window
from ..choice import GroupChoice
from ..expression import unravel
from ..facts import GroupFacts
from ..scheduled import GroupKernel, WorkGroup
from .frame import GroupFrame, TileSpan, group_kernel
from .window import inside_map

__all__ = ["DepthwiseItems", "group_depthwise"]

_RUNS_PER_ITEM = 2
"""Vectors that an item computes, at least, where a tile is one short row."""


def group_depthwise(
    window: Window, params: Sequence[Param], epilogue: Epilogue, operands: tuple[int, int],
    in_pitch: int, facts: GroupFacts, items_of: type[DepthwiseItems] | None = None,
    pad_value: int = 0, choice: GroupChoice | None = None,
) -> GroupKernel:  # fmt: skip
    """One filter per channel; a row tile is one output row.

    Parameters
    ----------
    operands
        Positions of map and weights.
    in_pitch
        Elements between neighbouring pixels of the map.
    items_of
        Emits what the items do; None for float32.
    pad_value
        What stands beside the map.
    """
    choice = choice or GroupChoice()
    facts, channels = choice.on(facts), epilogue.shape[-1]
    lanes = math.gcd(channels, facts.vector)
    runs = window.out_width * channels // lanes
    items = min(facts.items, -(-runs // facts.sub_group) * facts.sub_group)
    wanted = (choice.rows or 0) // window.out_width or _RUNS_PER_ITEM * items // runs
    rows = max(1, min(window.out_height, wanted))
    emitter = items_of or DepthwiseItems
    group = WorkGroup(
        (items, 1), (rows, 1), f"work-group {emitter.name}depthwise, {rows} rows, {items} items"
    )

    def body(frame: GroupFrame) -> None:
        with frame.spans() as span:
            emitter(frame, window, epilogue, operands, in_pitch, lanes, pad_value).span(span)

    return group_kernel(facts, group, params, body)


class DepthwiseItems:
    """Emits what the items of a work-group do: float32, zeros beside the map."""

    name = ""

    def __init__(
        self, frame: GroupFrame, window: Window, epilogue: Epilogue, operands: tuple[int, int],
        in_pitch: int, lanes: int, pad_value: int,
    ) -> None:  # fmt: skip
        self._in_pitch, self._pad_value = in_pitch, pad_value
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
                tap = frame.bind("k", (kh * w.kernel_w + kw) * self._channels + channel)
                self._tap(cell, (image, row, column), tap, channel)
        self._store(cell, pixel, channel)

    def _tap(self, cell: Any, place: Sequence[Any], tap: Any, channel: Any) -> None:
        """Add a tap whose weights begin at `tap`."""
        with self._frame.when(inside_map(self._window, *place[1:])):
            x = self._place(place, channel)
            self._multiply_add(cell, tap, lambda lane: self._x[x + lane])

    def _place(self, place: Sequence[Any], channel: Any) -> Any:
        image, row, column = place
        pixel = (image * self._window.height + row) * self._window.width + column
        return self._frame.bind("x", pixel * self._in_pitch + channel)

    def _multiply_add(self, cell: Any, tap: Any, x: Callable[[Any], Any]) -> None:
        self._each_lane(
            lambda lane: self._frame.store(
                cell, lane, cell[lane] + x(lane) * self._weights[tap + lane]
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
