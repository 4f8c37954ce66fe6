"""Depthwise convolution, NHWC: a row of output pixels at a time, channels as vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tvm import tirx

from ..blocks.depthwise_row import DepthwiseRow, DepthwiseShape, emit_rows
from ..blocks.epilogue import Epilogue, anchor_operands
from ..blocks.frame import LINE, Frame, build_kernel, program_params
from ..blocks.register_tile import RegisterTile, row_tile
from ..blocks.streams import is_streamed, prefetch_share
from ..blocks.window import PixelTile, window_of
from ..choice import Choice
from ..facts import DeviceFacts, GroupFacts
from ..group.depthwise import group_depthwise
from ..program import Program, Stage
from ..scheduled import GroupKernel, Scheduled, TileGrid
from ..spaces import tile_space

__all__ = ["depthwise"]


def depthwise(program: Program, anchor: Stage, facts: DeviceFacts, choice: Choice) -> Scheduled:
    """One filter per channel; weights `[kh][kw][1][channels]` as they come."""
    data, weight = anchor_operands(program, anchor)
    epilogue = Epilogue(program, anchor)
    window = window_of(anchor)
    channels = anchor.shape[-1]
    height, width = row_tile(window.out_width, facts.max_rows), _width(channels, facts)
    chosen = choice.vectors * facts.lanes if choice.vectors else width
    in_pitch = program.memory_shape(data)[-1]
    shape = DepthwiseShape(window, channels, in_pitch, chosen, choice.height or height)
    params = program_params(program)

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        def body(frame: Frame) -> None:
            operands = (frame.buffers[data], frame.buffers[weight])
            emit_rows(frame, shape, partial(_Row, frame, shape, epilogue, operands))

        return build_kernel(symbol, params, device, body)

    def for_groups(device: GroupFacts) -> GroupKernel:
        operands = (data, weight)
        return group_depthwise(
            window, params, epilogue, operands, in_pitch, device, choice=choice.group
        )

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
            group=("rows", "items"),
            not_of_groups=("height", "vectors"),
        ),
        facts=replace(
            window.facts,
            columns=channels,
            depth=1,
            tile_height=shape.pixels,
            tile_width=shape.width,
        ),
    )


def _width(channels: int, facts: DeviceFacts) -> int:
    width = facts.tile_channels
    while width > channels:
        width //= 2
    return width


class _Row(DepthwiseRow):
    """Float taps, with the next rows prefetched."""

    def _accumulate(self, tile: RegisterTile, pixels: PixelTile, column: Any, first: Any) -> None:
        frame = self._frame
        with frame.loop(self._count) as step:
            kh = frame.bind("kh", self._begin + step)
            in_row = frame.bind("in_row", self._in_row(kh))
            self._next_rows(pixels, column, first, step)
            for kw in range(self._shape.window.kernel_w):
                inside = range(pixels.size) if pixels.taps is None else pixels.taps[kw]
                if inside:
                    self._tap(tile, (in_row, column, first), (kh, kw), inside)

    def _next_rows(self, pixels: PixelTile, column: Any, first: Any, step: Any) -> None:
        """Ask for this step's share of the input rows that the next output row adds."""
        frame, shape, w = self._frame, self._shape, self._shape.window
        if not is_streamed(w.batch * w.height * w.width * shape.channels):
            return
        bottom = self._out_row * w.stride_h - w.pad_top + (w.kernel_h - 1) * w.dilation_h + 1
        across = pixels.size * w.stride_w
        corner = frame.offset(
            "next",
            ((self._image * w.height + bottom) * w.width + column * w.stride_w) * shape.in_pitch
            + first,
        )
        per_pixel = max(1, shape.width // LINE)
        lines = w.stride_h * across * per_pixel

        def prefetch(line: Any) -> None:
            pixel, part = tirx.floordiv(line, per_pixel), tirx.floormod(line, per_pixel)
            row, left = tirx.floordiv(pixel, across), tirx.floormod(pixel, across)
            offset = (row * w.width + left) * shape.in_pitch + part * LINE
            frame.prefetch(self._x, corner + offset)

        prefetch_share(lines, (step, w.kernel_h), prefetch)

    def _tap(
        self, tile: RegisterTile, corner: Sequence[Any], tap: tuple[Any, int], inside: Sequence[int]
    ) -> None:
        shape, w = self._shape, self._shape.window
        (in_row, column, first), (kh, kw) = corner, tap
        row = (self._image * w.height + in_row) * w.width
        left = column * w.stride_w - w.pad_left + kw * w.dilation_w
        taps = self._frame.offset("tap", (kh * w.kernel_w + kw) * shape.channels + first)
        base = self._frame.offset("corner", (row + left) * shape.in_pitch + first)
        tile.multiply_add_each(
            lambda i, c: self._x[base + i * w.stride_w * shape.in_pitch + c],
            lambda c: self._weights[taps + c],
            inside,
        )
