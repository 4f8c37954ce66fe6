"""Depthwise convolution of bytes, NHWC, in float32 arithmetic that is exact.

With one product per tap there is nothing for a dot-product instruction to add up, and float32
multiply-adds are the cheapest that vectorise everywhere. Sums stay below 2**24, so that no bit
is lost. Each byte is converted once per tile and used for all taps that read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from ..blocks.depthwise_row import DepthwiseRow, DepthwiseShape, emit_rows
from ..blocks.epilogue import Epilogue, anchor_operands
from ..blocks.frame import Frame, Param, build_kernel, i32, program_params
from ..blocks.register_tile import RegisterTile, row_tile
from ..blocks.window import PixelTile, Window, window_of
from ..facts import DeviceFacts, GroupFacts
from ..group.byte_depthwise import ByteDepthwiseItems
from ..group.depthwise import group_depthwise
from ..program import NotStaged, Program, Stage
from ..scheduled import GroupKernel, Packing, Scheduled, TileGrid

__all__ = ["int8_depthwise"]

_EXACT = 1 << 24
"""Integers up to this are float32 numbers."""
_LARGEST_PRODUCT = 255 * 128
_SPARE_ROWS = 4
"""Accumulators given up for weights, the converted value and constants, where registers are few."""


def int8_depthwise(
    program: Program, anchor: Stage, constants: frozenset[int], facts: DeviceFacts
) -> Scheduled | None:
    """One filter per channel; None where the weights are not constant."""
    data, weight = anchor_operands(program, anchor, ("uint8", "int8"))
    window = window_of(anchor)
    channels = anchor.shape[-1]
    if weight not in constants or window.groups != channels:
        return None
    if window.kernel_h * window.kernel_w * _LARGEST_PRODUCT > _EXACT:
        raise NotStaged("sums of so many taps are not exact in float32")
    epilogue = Epilogue(program, anchor)
    shape = DepthwiseShape(
        window,
        channels,
        channels,
        min(facts.lanes, 1 << (channels.bit_length() - 1)),
        row_tile(window.out_width, min(14, max(2, facts.max_rows * facts.vectors - _SPARE_ROWS))),
    )
    pad_value = int(anchor.annotations["hetcomp.pad_value"])
    params = program_params(program)
    params[weight] = Param(params[weight].size, "float32")

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        def body(frame: Frame) -> None:
            operands = (frame.buffers[data], frame.buffers[weight])
            row = partial(_Row, frame, shape, epilogue, operands, pad_value=pad_value)
            emit_rows(frame, shape, row)

        return build_kernel(symbol, params, device, body)

    def for_groups(device: GroupFacts) -> GroupKernel:
        operands = (data, weight)
        return group_depthwise(
            window, params, epilogue, operands, channels, device, ByteDepthwiseItems, pad_value
        )

    return Scheduled(
        kind="depthwise",
        emit=emit,
        rows=TileGrid(window.batch * window.out_height),
        flops=2 * math.prod(anchor.shape) * window.kernel_h * window.kernel_w,
        axis_reason="rows: hardly any weights",
        for_groups=for_groups,
        packings={weight: Packing("as float32", lambda array: array.astype(np.float32))},
        single_bytes=True,
        facts=replace(
            window.facts,
            columns=channels,
            depth=1,
            tile_height=shape.pixels,
            tile_width=shape.width,
        ),
    )


class _Row(DepthwiseRow):
    """Bytes converted once per tile; padding counts as the zero point."""

    def __init__(
        self,
        frame: Frame,
        shape: DepthwiseShape,
        epilogue: Epilogue,
        operands: tuple[Any, Any],
        at: tuple[Any, Any],
        pad_value: int,
    ) -> None:
        super().__init__(frame, shape, epilogue, operands, at)
        self._pad_value = pad_value

    def _accumulate(self, tile: RegisterTile, pixels: PixelTile, column: Any, first: Any) -> None:
        frame, w = self._frame, self._shape.window
        if self._pad_value:
            with frame.loop(w.kernel_h - self._count) as step:
                kh = tirx.Select(step < self._begin, step, step + self._count)
                self._padding_row(tile, self._taps(kh, first), range(pixels.size))
        with frame.loop(self._count) as step:
            kh = frame.bind("kh", self._begin + step)
            self._map_row(tile, pixels, column, kh, first)

    def _taps(self, kh: Any, first: Any) -> list[Any]:
        """The filter's row `kh` in registers."""
        shape, frame = self._shape, self._frame
        taps = []
        for kw in range(shape.window.kernel_w):
            base = frame.bind("tap", (kh * shape.window.kernel_w + kw) * shape.channels + first)
            taps.append(self._register("w", lambda c, base=base: self._weights[base + c]))  # type: ignore[misc]
        return taps

    def _register(self, name: str, value: Callable[[Any], Any]) -> Any:
        register = self._frame.local(name, self._shape.width)
        with T.vectorized(0, self._shape.width) as lane:
            self._frame.store(register, lane, value(lane))
        return register

    def _converted(self, address: Any) -> Any:
        """A vector of bytes as float32."""
        frame, width = self._frame, self._shape.width
        address = frame.bind("at", address)
        if not frame.facts.opencl:
            return self._register("x", lambda c: tirx.Cast("float32", self._x[address + c]))
        register = frame.local("x", width)
        kind = f"float32x{width}" if width > 1 else "float32"
        pointer = tirx.address_of(self._x[address])
        value = tirx.call_extern(kind, f"HETCOMP_FLOATS_{width}", pointer)
        frame.store(register, tirx.Ramp(i32(0), 1, width) if width > 1 else i32(0), value)
        return register

    def _padding_row(self, tile: RegisterTile, taps: Sequence[Any], pixels: Sequence[int]) -> None:
        value = tirx.FloatImm("float32", float(self._pad_value))
        for tap in taps:
            tile.multiply_add_each(lambda _i, _c: value, lambda c, tap=tap: tap[c], pixels)  # type: ignore[misc]

    def _map_row(
        self, tile: RegisterTile, pixels: PixelTile, column: Any, kh: Any, first: Any
    ) -> None:
        shape, w = self._shape, self._shape.window
        in_row = self._image * w.height + self._in_row(kh)
        base = self._frame.bind("base", in_row * w.width)
        left = self._frame.bind("left", column * w.stride_w - w.pad_left)
        taps = self._taps(kh, first)
        for offset, uses in sorted(_uses(w, pixels).items()):
            value = self._converted((base + left + offset) * shape.channels + first)
            for pixel, kw in uses:
                tile.multiply_add_each(
                    lambda _i, c, value=value: value[c],  # type: ignore[misc]
                    lambda c, kw=kw: taps[kw][c],  # type: ignore[misc]
                    (pixel,),
                )
        if self._pad_value and pixels.taps is not None:
            for kw, inside in pixels.taps.items():
                outside = [i for i in range(pixels.size) if i not in inside]
                self._padding_row(tile, [taps[kw]], outside)

    def _store(self, tile: RegisterTile, column: Any, first: Any) -> None:
        tile.finish_rows(
            lambda i, c, acc: self._store_element(column + i, first + c, tirx.Cast("int32", acc))
        )


def _uses(window: Window, pixels: PixelTile) -> dict[int, list[tuple[int, int]]]:
    """For each column read by a tile, from its leftmost on: (pixel, tap) pairs that use it."""
    found: dict[int, list[tuple[int, int]]] = {}
    for kw in range(window.kernel_w):
        inside = range(pixels.size) if pixels.taps is None else pixels.taps[kw]
        for pixel in inside:
            offset = pixel * window.stride_w + kw * window.dilation_w
            found.setdefault(offset, []).append((pixel, kw))
    return found
