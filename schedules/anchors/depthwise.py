"""Depthwise convolution, NHWC: a row of output pixels at a time, channels as vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from tvm import tirx

from ..blocks.epilogue import Epilogue, anchor_operands
from ..blocks.frame import LINE, Frame, build_kernel, i32, program_params
from ..blocks.register_tile import RegisterTile, row_tile
from ..blocks.streams import is_streamed, prefetch_share
from ..blocks.window import PixelTile, Window, window_of
from ..choice import Choice
from ..facts import DeviceFacts, GroupFacts
from ..group.depthwise import group_depthwise
from ..program import Program, Stage
from ..scheduled import GroupKernel, Scheduled, TileGrid
from ..spaces import tile_space

__all__ = ["depthwise"]


@dataclass(frozen=True)
class _Depthwise:
    window: Window
    channels: int
    in_pitch: int
    width: int
    pixels: int

    @property
    def blocks(self) -> int:
        return -(-self.channels // self.width)

    def begin(self, block: Any) -> Any:
        """First channel of a block; the last block overlaps within the same tile."""
        if self.channels % self.width == 0:
            return block * self.width
        return tirx.min(block * self.width, i32(self.channels - self.width))


def depthwise(program: Program, anchor: Stage, facts: DeviceFacts, choice: Choice) -> Scheduled:
    """One filter per channel; weights `[kh][kw][1][channels]` as they come."""
    data, weight = anchor_operands(program, anchor)
    epilogue = Epilogue(program, anchor)
    window = window_of(anchor)
    channels = anchor.shape[-1]
    height, width = row_tile(window.out_width, facts.max_rows), _width(channels, facts)
    chosen = choice.vectors * facts.lanes if choice.vectors else width
    in_pitch = program.memory_shape(data)[-1]
    conv = _Depthwise(window, channels, in_pitch, chosen, choice.height or height)
    params = program_params(program)

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        def body(frame: Frame) -> None:
            _emit(frame, conv, epilogue, frame.buffers[data], frame.buffers[weight])

        return build_kernel(symbol, params, device, body)

    def for_groups(device: GroupFacts) -> GroupKernel:
        return group_depthwise(window, params, epilogue, (data, weight), in_pitch, device)

    return Scheduled(
        kind="depthwise",
        emit=emit,
        rows=TileGrid(window.batch * window.out_height),
        flops=2 * math.prod(anchor.shape) * window.kernel_h * window.kernel_w,
        axis_reason="rows: hardly any weights",
        for_groups=for_groups,
        pitched=frozenset(range(len(params))) - {weight},
        space=tile_space(
            facts,
            rows=window.out_width,
            channels=channels,
            height=height,
            width=width,
            unroll=False,
        ),
        facts=replace(
            window.facts,
            columns=channels,
            depth=1,
            tile_height=conv.pixels,
            tile_width=conv.width,
        ),
    )


def _width(channels: int, facts: DeviceFacts) -> int:
    width = facts.tile_channels
    while width > channels:
        width //= 2
    return width


def _emit(frame: Frame, conv: _Depthwise, epilogue: Epilogue, x: Any, weights: Any) -> None:
    w = conv.window
    with frame.tiles() as (row, _):
        image = i32(0) if w.batch == 1 else frame.bind("n", tirx.floordiv(row, w.out_height))
        out_row = row if w.batch == 1 else frame.bind("h", tirx.floormod(row, w.out_height))
        begin, count = w.row_bounds(out_row)
        begin = frame.bind("kh0", begin)
        emitter = _RowEmitter(frame, conv, epilogue, x, weights, image, out_row)
        for pixels in w.pixel_tiles(conv.pixels):
            pixels.emit(
                frame,
                lambda column, pixels=pixels: emitter.blocks(  # type: ignore[misc]
                    pixels, column, begin, count
                ),
            )


class _RowEmitter:
    """Emits one output row of one block of channels."""

    def __init__(
        self, frame: Frame, conv: _Depthwise, epilogue: Epilogue, x: Any, weights: Any,
        image: Any, out_row: Any,
    ) -> None:  # fmt: skip
        self._frame, self._conv, self._epilogue = frame, conv, epilogue
        self._x, self._weights = x, weights
        self._image, self._out_row = image, out_row
        self._first: Any = None

    def blocks(self, pixels: PixelTile, column: Any, begin: Any, count: Any) -> None:
        """All channels of a tile of pixels, so that output is written in order."""
        column = self._frame.bind("column", column)
        with self._frame.loop(self._conv.blocks) as block:
            self._first = self._frame.bind("first", self._conv.begin(block))
            self._tile(pixels, column, begin, count)

    def _tile(self, pixels: PixelTile, column: Any, begin: Any, count: Any) -> None:
        frame, conv, w = self._frame, self._conv, self._conv.window
        tile = RegisterTile(frame, pixels.size, conv.width)
        with frame.loop(count) as step:
            kh = frame.bind("kh", begin + step)
            in_row = frame.bind(
                "in_row", self._out_row * w.stride_h - w.pad_top + kh * w.dilation_h
            )
            self._next_rows(pixels, column, step)
            for kw in range(w.kernel_w):
                inside = range(pixels.size) if pixels.taps is None else pixels.taps[kw]
                if inside:
                    self._tap(tile, in_row, column, kh, kw, inside)
        self._store(tile, column)

    def _next_rows(self, pixels: PixelTile, column: Any, step: Any) -> None:
        """Ask for this step's share of the input rows that the next output row adds."""
        frame, conv, w = self._frame, self._conv, self._conv.window
        if not is_streamed(w.batch * w.height * w.width * conv.channels):
            return
        bottom = self._out_row * w.stride_h - w.pad_top + (w.kernel_h - 1) * w.dilation_h + 1
        across = pixels.size * w.stride_w
        corner = frame.offset(
            "next",
            ((self._image * w.height + bottom) * w.width + column * w.stride_w) * conv.in_pitch
            + self._first,
        )
        per_pixel = max(1, conv.width // LINE)
        lines = w.stride_h * across * per_pixel

        def prefetch(line: Any) -> None:
            pixel, part = tirx.floordiv(line, per_pixel), tirx.floormod(line, per_pixel)
            row, left = tirx.floordiv(pixel, across), tirx.floormod(pixel, across)
            offset = (row * w.width + left) * conv.in_pitch + part * LINE
            frame.prefetch(self._x, corner + offset)

        prefetch_share(lines, (step, w.kernel_h), prefetch)

    def _tap(
        self, tile: RegisterTile, in_row: Any, column: Any, kh: Any, kw: int, inside: Any
    ) -> None:
        conv, w = self._conv, self._conv.window
        row = (self._image * w.height + in_row) * w.width
        left = column * w.stride_w - w.pad_left + kw * w.dilation_w
        taps = self._frame.offset("tap", (kh * w.kernel_w + kw) * conv.channels + self._first)
        corner = self._frame.offset("corner", (row + left) * conv.in_pitch + self._first)
        tile.multiply_add_each(
            lambda i, c: self._x[corner + i * w.stride_w * conv.in_pitch + c],
            lambda c: self._weights[taps + c],
            inside,
        )

    def _store(self, tile: RegisterTile, column: Any) -> None:
        w, channels = self._conv.window, self._epilogue.pitch
        row = (self._image * w.out_height + self._out_row) * w.out_width
        tile.finish(
            lambda i, c, acc: self._epilogue.store(
                self._frame,
                [self._image, self._out_row, column + i, self._first + c],
                (row + column + i) * channels + self._first + c,
                acc,
            )
        )
