"""Direct convolution, NHWC, weights packed `[tiles][kh][kw][ci][width]`, any window."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tvm import tirx

from hetcomp.cost.kernel_facts import KernelFacts

from ..blocks.arithmetic import FLOAT32, Arithmetic
from ..blocks.epilogue import Epilogue, anchor_operands
from ..blocks.frame import LINE, Frame, Param, build_kernel, i32, program_params
from ..blocks.register_tile import ChannelTiles, RegisterTile, Steps, channel_tiles, row_tile
from ..blocks.splitting import rows_inner, split_axis
from ..blocks.streams import is_streamed, lines_across, prefetch_share, steps_per_look, tile_line
from ..blocks.window import PixelTile, Window, window_of
from ..choice import Choice, DeviceChoice, Space
from ..facts import DeviceFacts, GroupFacts
from ..group.product import GroupProduct, group_product
from ..group.window import window_left
from ..half import HalfFormat
from ..program import Program, Stage
from ..scheduled import GroupKernel, Packing, Scheduled, TileGrid
from ..spaces import PRODUCT_KNOBS, tile_space
from .gemm import GemmShape, gemm, pack_columns

__all__ = ["conv2d"]


@dataclass(frozen=True)
class _Conv:
    """One convolution: window, input channels in steps of the arithmetic, tiling."""

    window: Window
    arithmetic: Arithmetic
    in_channels: int
    group_in: int
    group_out: int
    nchw_input: bool
    columns: ChannelTiles
    pixels: int
    choice: Choice
    pad_value: int
    weight_format: HalfFormat | None

    @property
    def taps(self) -> int:
        return self.window.kernel_h * self.window.kernel_w

    @property
    def panel(self) -> int:
        """Elements of one tile's weights."""
        return self.taps * self.group_in * self.columns.width

    def rows_inner(self, choice: DeviceChoice) -> bool:
        """See `splitting.rows_inner`."""
        if choice.rows_inner is not None:
            return choice.rows_inner
        return rows_inner(4 * self.taps * self.group_in * self.group_out)

    @property
    def prefetch_chunk(self) -> int:
        """Input channels per prefetched line, so that all rows together cover a tile's weights."""
        steps = self.taps * self.group_in
        lines = -(-self.panel // LINE)
        return max(1, steps // -(-lines // self.window.out_height))

    def input_index(self, image: Any, row: Any, column: Any, channel: Any) -> Any:
        w = self.window
        if self.nchw_input:
            return ((image * self.in_channels + channel) * w.height + row) * w.width + column
        return ((image * w.height + row) * w.width + column) * self.in_channels + channel

    @property
    def column_stride(self) -> int:
        """Elements between neighbouring input columns."""
        return 1 if self.nchw_input else self.in_channels

    @property
    def channel_stride(self) -> int:
        """Elements between neighbouring input channels."""
        return self.window.height * self.window.width if self.nchw_input else 1


def conv2d(
    program: Program,
    anchor: Stage,
    constants: frozenset[int],
    facts: DeviceFacts,
    choice: Choice,
    arithmetic: Arithmetic = FLOAT32,
) -> Scheduled | None:
    """A convolution with constant HWIO weights; None where they are not constant."""
    data, weight = anchor_operands(program, anchor, arithmetic.operands)
    if weight not in constants:
        return None
    conv = _conv(program, anchor, (data, weight), facts, choice, arithmetic)
    w = conv.window
    if w.is_pointwise and w.groups == 1 and not conv.nchw_input:
        shape = GemmShape(w.batch * w.height * w.width, anchor.shape[-1], conv.group_in)
        return gemm(program, anchor, shape, "conv2d", facts, choice, arithmetic)
    epilogue = Epilogue(program, anchor)
    params = program_params(program)
    packed_size = w.groups * conv.columns.count * conv.panel
    params[weight] = Param(packed_size, arithmetic.packed, conv.weight_format)

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        def body(frame: Frame) -> None:
            _emit(frame, conv, epilogue, frame.buffers[data], frame.buffers[weight])

        return build_kernel(symbol, params, device, body)

    def for_groups(device: GroupFacts) -> GroupKernel:
        return group_product(_product(conv), params, epilogue, (data, weight), device, choice.group)

    space = _space(_conv(program, anchor, (data, weight), facts, Choice(), arithmetic), facts)
    scheduled = _scheduled(conv, anchor, emit, weight, space)
    if arithmetic is not FLOAT32:
        return replace(scheduled, for_groups=for_groups, single_bytes=True)
    return replace(
        scheduled,
        for_groups=for_groups,
        pitched=frozenset(range(len(params))) - {weight} - ({data} if conv.nchw_input else set()),
    )


def _product(conv: _Conv) -> GroupProduct:
    w, arithmetic = conv.window, conv.arithmetic
    return GroupProduct(
        name=f"{arithmetic.name}{w.kernel_h}x{w.kernel_w} convolution",
        rows=w.batch * w.out_height * w.out_width,
        tile_rows=w.out_width,
        depth=conv.taps * conv.group_in,
        columns=conv.columns,
        left=window_left(w, conv.group_in, conv.input_index, arithmetic),
        run=1 if conv.nchw_input or arithmetic.group > 1 else conv.group_in,
        groups=w.groups,
        across=conv.nchw_input,
        arithmetic=arithmetic,
        outside=int(arithmetic.constant(conv.pad_value).value),
    )


def _scheduled(conv: _Conv, anchor: Stage, emit: Any, weight: int, space: Space) -> Scheduled:
    w, columns = conv.window, conv.columns
    out_channels = anchor.shape[-1]
    outputs = math.prod(anchor.shape)
    channels = TileGrid(columns.count, columns.ragged) if w.groups == 1 else TileGrid(1)
    axis, reason = split_axis(
        rows=w.batch * w.out_height,
        channels=channels.extent,
        weight_bytes=4 * conv.taps * conv.group_in * out_channels,
        activation_bytes=4 * (w.batch * w.height * w.width * conv.in_channels + outputs),
    )
    return Scheduled(
        kind="conv2d",
        emit=emit,
        rows=TileGrid(w.batch * w.out_height),
        channels=channels,
        flops=2 * outputs * conv.taps * conv.group_in * conv.arithmetic.group,
        preferred_axis=axis,
        axis_reason=reason,
        packings={weight: _packing(conv).in_half(conv.weight_format)},
        rows_inner=conv.rows_inner(conv.choice.opencl),
        space=space,
        facts=_facts(conv),
    )


def _facts(conv: _Conv) -> KernelFacts:
    return replace(
        conv.window.facts,
        columns=conv.group_out,
        depth=conv.group_in,
        groups=conv.window.groups,
        step=conv.arithmetic.group,
        tile_height=conv.pixels,
        tile_width=conv.columns.width,
        strided_input=int(conv.nchw_input),
        rows_inner=int(conv.rows_inner(conv.choice.cpu)),
    )


def _space(default: _Conv, facts: DeviceFacts) -> Space:
    return tile_space(
        facts,
        rows=default.window.out_width,
        channels=default.group_out,
        height=default.pixels,
        width=default.columns.width,
        rows_inner=default.rows_inner(DeviceChoice()),
        group=PRODUCT_KNOBS,
        not_of_groups=("height",),
    )


def _conv(
    program: Program,
    anchor: Stage,
    operands: tuple[int, int],
    facts: DeviceFacts,
    choice: Choice,
    arithmetic: Arithmetic,
) -> _Conv:
    data, weight = operands
    window = window_of(anchor)
    nchw_input = bool(int(anchor.annotations.get("hetcomp.nchw_input", 0)))
    shape = program.memory_shape(data)
    in_channels = shape[1] if nchw_input else shape[-1]
    group_in = arithmetic.steps(int(program.params[weight].shape[2]))
    group_out = anchor.shape[-1] // window.groups
    return _Conv(
        window=window,
        arithmetic=arithmetic,
        in_channels=arithmetic.steps(in_channels),
        group_in=group_in,
        group_out=group_out,
        nchw_input=nchw_input,
        columns=channel_tiles(group_out, facts.lanes, facts.vectors, choice.vectors),
        pixels=choice.height or row_tile(window.out_width, facts.max_rows),
        choice=choice,
        pad_value=int(anchor.annotations.get("hetcomp.pad_value", 0)),
        weight_format=program.halves.get(weight),
    )


def _emit(frame: Frame, conv: _Conv, epilogue: Epilogue, x: Any, weights: Any) -> None:
    w = conv.window
    with frame.tiles(rows_inner=conv.rows_inner(conv.choice.on(frame.facts))) as (row, block):
        image = i32(0) if w.batch == 1 else frame.bind("n", tirx.floordiv(row, w.out_height))
        out_row = row if w.batch == 1 else frame.bind("h", tirx.floormod(row, w.out_height))
        emitter = _RowEmitter(frame, conv, epilogue, x, weights, image, out_row)
        if w.groups == 1:
            emitter.row(block, i32(0))
            return
        with frame.loop(w.groups) as group:
            with frame.loop(conv.columns.count) as inner:
                emitter.row(inner, group)


class _RowEmitter:
    """Emits one output row of one channel tile."""

    def __init__(
        self, frame: Frame, conv: _Conv, epilogue: Epilogue, x: Any, weights: Any, image: Any,
        out_row: Any,
    ) -> None:  # fmt: skip
        self._frame, self._conv, self._epilogue = frame, conv, epilogue
        self._weights = weights
        self._used = conv.arithmetic.on(frame, conv.group_in, x, weights)
        self._image, self._out_row = image, out_row
        self._first: Any = None

    def row(self, block: Any, group: Any) -> None:
        conv, frame = self._conv, self._frame
        tile_index = group * conv.columns.count + block
        panel = frame.bind("panel", tile_index * conv.panel)
        first = frame.bind("first", group * conv.group_out + conv.columns.begin(block))
        self._first = first
        begin, count = conv.window.row_bounds(self._out_row)
        begin = frame.bind("kh0", begin)
        for pixels in conv.window.pixel_tiles(conv.pixels):
            pixels.emit(
                frame,
                lambda column, pixels=pixels: self._tile(  # type: ignore[misc]
                    pixels, column, panel, first, group, (begin, count)
                ),
            )

    def _tile(
        self, pixels: PixelTile, column: Any, panel: Any, first: Any, group: Any, rows: Any
    ) -> None:
        conv, frame, w = self._conv, self._frame, self._conv.window
        column = frame.bind("column", column)
        tile = self._used.arithmetic.tile(frame, pixels.size, conv.columns.width)
        if conv.pad_value:
            self._rows_of_padding(tile, panel, rows, pixels.size)
        with frame.loop(rows[1]) as step:
            kh = frame.bind("kh", rows[0] + step)
            in_row = frame.bind(
                "in_row", self._out_row * w.stride_h - w.pad_top + kh * w.dilation_h
            )
            if pixels.taps is None:
                with frame.loop(w.kernel_w) as kw:
                    self._tap(tile, panel, group, in_row, column, (kh, kw), range(pixels.size))
            else:
                for kw, inside in pixels.taps.items():
                    padding = [i for i in range(pixels.size) if i not in inside]
                    if inside:
                        self._tap(
                            tile, panel, group, in_row, column, (kh, i32(kw)), inside,
                            padding if tile.wants_all_rows else (),
                        )  # fmt: skip
                        padding = [] if tile.wants_all_rows else padding
                    if conv.pad_value and padding:
                        self._tap_of_padding(tile, panel, (kh, i32(kw)), padding)
        self._store(tile, column, first)

    def _rows_of_padding(self, tile: RegisterTile, panel: Any, rows: Any, size: int) -> None:
        """Rows of the window above and below the map, where padding is not zero."""
        frame, w = self._frame, self._conv.window
        begin, count = rows
        with frame.loop(w.kernel_h - count) as step:
            kh = frame.bind("kh", tirx.Select(step < begin, step, step + count))
            with frame.loop(w.kernel_w) as kw:
                self._tap_of_padding(tile, panel, (kh, kw), range(size))

    def _tap_of_padding(
        self, tile: RegisterTile, panel: Any, tap: Any, pixels: Iterable[int]
    ) -> None:
        conv = self._conv
        width = conv.columns.width
        base = self._frame.bind(
            "tap", panel + (tap[0] * conv.window.kernel_w + tap[1]) * conv.group_in * width
        )
        value = conv.arithmetic.constant(conv.pad_value)
        with self._frame.loop(conv.group_in) as ci:
            tile.multiply_add(
                lambda _: value, lambda c: self._weights[base + ci * width + c], pixels
            )

    def _tap(
        self, tile: RegisterTile, panel: Any, group: Any, in_row: Any, column: Any, tap: Any,
        inside: Iterable[int], padding: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """One tap for the pixels `inside` the map, and for those that read `padding` instead."""
        conv, frame, w = self._conv, self._frame, self._conv.window
        kh, kw = tap
        left = frame.bind("left", column * w.stride_w - w.pad_left + kw * w.dilation_w)
        base = frame.offset(
            "tap", panel + (kh * w.kernel_w + kw) * conv.group_in * conv.columns.width
        )
        corner = frame.offset(
            "corner", conv.input_index(self._image, in_row, left, group * conv.group_in)
        )
        pixel = w.stride_w * conv.column_stride

        unroll = conv.choice.on(frame.facts).unroll or 1
        chunk, ask = conv.prefetch_chunk, self._next_panel(panel, tap)
        if ask is None:
            chunk, ask = self._outputs(column, tap)
        tile.accumulate(
            Steps(conv.group_in, unroll, chunk, ask, neighbours=not conv.nchw_input),
            lambda i, ci, run: (
                conv.arithmetic.constant(conv.pad_value, run)
                if i in padding
                else conv.arithmetic.left(
                    frame.facts, self._used.left, corner + i * pixel + ci * conv.channel_stride, run
                )
            ),
            lambda ci: lambda c: self._used.right[base + ci * conv.columns.width + c],
            sorted([*inside, *padding]),
        )

    def _next_panel(self, panel: Any, tap: Any) -> Callable[[Any, int], None] | None:
        """Where weights stream from memory, the rows of a channel tile ask for the next tile's."""
        conv, w = self._conv, self._conv.window
        choice = conv.choice.on(self._frame.facts)
        ahead = int(conv.rows_inner(choice)) if choice.prefetch is None else choice.prefetch
        if not ahead or w.groups > 1:
            return None
        position = (self._out_row * w.kernel_h + tap[0]) * w.kernel_w + tap[1]
        return lambda piece, pieces: self._frame.prefetch(
            self._weights, panel + ahead * conv.panel + LINE * (position * pieces + piece)
        )

    def _outputs(self, column: Any, tap: Any) -> tuple[int, Callable[[Any, int], None] | None]:
        """Steps, and a tap's share of the lines that the epilogue will read and write."""
        conv, w, frame = self._conv, self._conv.window, self._frame
        if not is_streamed(math.prod(self._epilogue.shape)):
            return 1, None
        width = conv.columns.width
        pixel = (self._image * w.out_height + self._out_row) * w.out_width + column
        lines = conv.pixels * lines_across(width)

        def prefetch(line: Any) -> None:
            for buffer, stride in self._epilogue.streams(frame):
                corner = pixel * stride + self._first
                frame.prefetch(buffer, corner + tile_line(line, width, stride))

        def ask(piece: Any, pieces: int) -> None:
            position = (tap[0] * w.kernel_w + tap[1]) * pieces + piece
            prefetch_share(lines, (position, pieces * conv.taps), prefetch)

        return steps_per_look(conv.group_in, -(-lines // conv.taps)), ask

    def _store(self, tile: RegisterTile, column: Any, first: Any) -> None:
        w, channels = self._conv.window, self._epilogue.pitch
        row = (self._image * w.out_height + self._out_row) * w.out_width
        tile.finish(
            lambda i, c, acc: self._epilogue.store(
                self._frame,
                [self._image, self._out_row, column + i, first + c],
                (row + column + i) * channels + first + c,
                acc,
            ),
            self._conv.columns.valid,
        )


def _packing(conv: _Conv) -> Packing:
    w = conv.window

    def apply(weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        matrix = weight.reshape(-1, w.groups * conv.group_out)
        parts = np.split(conv.arithmetic.grouped(matrix), w.groups, axis=1)
        return np.concatenate([pack_columns(part, conv.columns) for part in parts])

    shape = f"{w.kernel_h}x{w.kernel_w}x{conv.group_in}x{conv.group_out} groups={w.groups}"
    return Packing(f"conv {shape} width={conv.columns.width}", apply)
