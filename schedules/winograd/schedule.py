"""Winograd convolution: 3x3 windows, stride 1, in a third of the multiplications or fewer.

Largest error relative to the largest output, against float64, measured on normally distributed
inputs of 16 and of 512 channels (ONNX Runtime 2e-7 to 5e-7):

======  =================  ================
tile    products / output  error
======  =================  ================
direct  9                  3e-7 to 2.4e-6
F(2x2)  4                  2e-7 to 9e-7
F(4x2)  3                  4e-7 to 2.0e-6
F(4x4)  2.25               8e-7 to 4.7e-6
======  =================  ================

`CompileOptions(exact=True)` keeps to the direct method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from hetcomp.cost.kernel_facts import KernelFacts

from ..anchors.gemm import pack_columns
from ..blocks.epilogue import Epilogue, anchor_operands
from ..blocks.frame import Frame, Param, build_kernel, program_params
from ..blocks.register_tile import channel_tiles, row_tile
from ..blocks.splitting import split_axis
from ..blocks.window import Window, window_of
from ..choice import Choice
from ..facts import DeviceFacts
from ..program import Program, Stage
from ..scheduled import Packing, Scheduled, TileGrid
from ..spaces import tile_space
from .kernel import emit_winograd
from .shape import WinogradShape, block_tiles
from .transform import TAPS, transform

__all__ = ["TILES", "Tile", "winograd", "winograd_shape"]


@dataclass(frozen=True)
class Tile:
    """Outputs of a map tile."""

    rows: int
    columns: int

    @property
    def variant(self) -> str:
        """Name of the method."""
        return f"winograd {self.rows}x{self.columns}"


TILES = (Tile(4, 4), Tile(4, 2), Tile(2, 2))
"""The tiles there are kernels for, the largest first."""


def winograd(
    program: Program,
    anchor: Stage,
    constants: frozenset[int],
    facts: DeviceFacts,
    choice: Choice,
    tile: Tile,
) -> Scheduled | None:
    """A convolution by F(`tile`); None where the window or the weights do not allow it.

    Of `choice`, height, vectors, unrolling and prefetch are heeded.
    """
    shape = winograd_shape(program, anchor, constants, facts, choice, tile)
    if shape is None:
        return None
    data, weight = anchor_operands(program, anchor)
    epilogue = Epilogue(program, anchor)
    params = program_params(program)
    packed_size = shape.columns.count * shape.positions * shape.panel
    form = program.halves.get(weight)
    params[weight] = Param(packed_size, "float32", form)

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        def body(frame: Frame) -> None:
            x, weights = frame.buffers[data], frame.buffers[weight]
            emit_winograd(frame, shape, epilogue, x, weights, choice.on(device))

        return build_kernel(symbol, params, device, body)

    axis, reason = _axis(shape, anchor)
    return Scheduled(
        kind="conv2d",
        emit=emit,
        rows=TileGrid(shape.blocks),
        channels=TileGrid(shape.columns.count, shape.columns.ragged),
        flops=2 * math.prod(anchor.shape) * TAPS * TAPS * shape.in_channels,
        preferred_axis=axis,
        axis_reason=reason,
        packings={weight: _packing(shape).in_half(form)},
        rows_inner=False,
        pitched=frozenset(range(len(params))) - {weight},
        variant=tile.variant,
        space=tile_space(
            facts,
            rows=shape.block,
            channels=anchor.shape[-1],
            height=shape.height,
            width=shape.columns.width,
            rows_inner=True,
            ordered=True,
        ),
        facts=_facts(shape),
    )


def _facts(shape: WinogradShape) -> KernelFacts:
    """Pixels are map tiles: rows of each position's product."""
    return KernelFacts(
        pixels=shape.tiles,
        columns=shape.columns.channels,
        depth=shape.in_channels,
        taps=1,
        map_taps=1.0,
        positions=shape.positions,
        tile_height=shape.height,
        tile_width=shape.columns.width,
        row_pixels=shape.block,
    )


def winograd_shape(
    program: Program,
    anchor: Stage,
    constants: frozenset[int],
    facts: DeviceFacts,
    choice: Choice,
    tile: Tile,
) -> WinogradShape | None:
    """How F(`tile`) would cut a convolution; None where it cannot compute it."""
    data, weight = anchor_operands(program, anchor)
    window, out_channels = window_of(anchor), anchor.shape[-1]
    if weight not in constants or out_channels < facts.lanes or not _applies(anchor, window):
        return None
    in_channels, in_pitch = int(program.params[data].shape[-1]), program.memory_shape(data)[-1]
    vertical, horizontal = transform(tile.rows), transform(tile.columns)
    columns = channel_tiles(out_channels, facts.lanes, facts.vectors, choice.vectors)
    block = block_tiles(window, in_channels, columns, vertical, horizontal, facts)
    if block == 0:
        return None
    height = min(block, choice.height or row_tile(block, facts.max_rows))
    return WinogradShape(
        window, in_channels, in_pitch, columns, vertical, horizontal, block, height
    )


def _applies(anchor: Stage, window: Window) -> bool:
    nchw_input = bool(int(anchor.annotations.get("hetcomp.nchw_input", 0)))
    square = (window.kernel_h, window.kernel_w) == (TAPS, TAPS)
    steps = (window.stride_h, window.stride_w, window.dilation_h, window.dilation_w)
    return square and steps == (1, 1, 1, 1) and window.groups == 1 and not nchw_input


def _axis(shape: WinogradShape, anchor: Stage) -> tuple[str, str]:
    w = shape.window
    inputs = w.batch * w.height * w.width * shape.in_channels
    return split_axis(
        rows=shape.blocks,
        channels=shape.columns.count,
        weight_bytes=4 * shape.positions * shape.in_channels * anchor.shape[-1],
        activation_bytes=4 * (inputs + math.prod(anchor.shape)),
    )


def _packing(shape: WinogradShape) -> Packing:
    """`[kh, kw, ci, co]` to `[tile of channels][position][ci][channel]`, transformed in float64."""
    vertical, horizontal = shape.vertical.filter_array, shape.horizontal.filter_array

    def apply(weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        filters = weight.astype(np.float64).reshape(TAPS, -1)
        down = (vertical @ filters).reshape(len(vertical), TAPS, -1)
        both = np.matmul(horizontal, down).astype(np.float32)
        return pack_columns(both.reshape(-1, weight.shape[-1]), shape.columns)

    tile = f"{shape.vertical.outputs}x{shape.horizontal.outputs}"
    size = f"{shape.in_channels}x{shape.columns.channels}"
    return Packing(f"winograd {tile} {size} width={shape.columns.width}", apply)
