"""Linear layers and 1x1 convolutions: rows of activations times packed constant weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from hetcomp.cost.kernel_facts import KernelFacts

from ..blocks.arithmetic import FLOAT32, Arithmetic
from ..blocks.epilogue import Epilogue, anchor_operands
from ..blocks.frame import LINE, Frame, Param, build_kernel, i32, program_params
from ..blocks.register_tile import ChannelTiles, Steps, channel_tiles, row_tile, tiles_per_unit
from ..blocks.splitting import rows_inner, split_axis
from ..blocks.streams import is_streamed, lines_across, prefetch_share, steps_per_look, tile_line
from ..choice import Choice, DeviceChoice, Space
from ..expression import unravel
from ..facts import DeviceFacts, GroupFacts
from ..group.gemv import FEW_ROWS, group_gemv
from ..group.product import GroupProduct, group_product, matrix_left
from ..program import Program, Stage
from ..scheduled import GroupKernel, Packing, Scheduled, TileGrid
from ..spaces import PRODUCT_KNOBS, tile_space

__all__ = ["GemmShape", "gemm", "linear"]

_VECTORS_BY_ROWS = ((1, 8), (3, 4))
"""Few rows leave room for, and need, more vectors in flight: (rows up to, vectors)."""


@dataclass(frozen=True)
class GemmShape:
    """`out[m, n] = sum_k x[m, k] w[k, n]`; `k` counts steps of the arithmetic."""

    m: int
    n: int
    k: int


@dataclass(frozen=True)
class _Tiling:
    columns: ChannelTiles
    height: int
    tiles: int
    per_unit: int
    choice: Choice

    @property
    def units(self) -> int:
        return -(-self.tiles // self.per_unit)


def linear(
    program: Program,
    anchor: Stage,
    constants: frozenset[int],
    facts: DeviceFacts,
    choice: Choice,
    arithmetic: Arithmetic = FLOAT32,
) -> Scheduled | None:
    """A matmul whose second operand is one constant `w[k, n]`; None where it is not."""
    _, weight = anchor_operands(program, anchor, arithmetic.operands)
    batches = math.prod(int(dim) for dim in program.params[weight].shape[:-2])
    if weight not in constants or batches != 1:
        return None
    k = arithmetic.steps(anchor.reduce[0].extent)
    *lead, n = anchor.shape
    shape = GemmShape(math.prod(lead), n, k)
    return gemm(program, anchor, shape, "linear", facts, choice, arithmetic)


def gemm(
    program: Program,
    anchor: Stage,
    shape: GemmShape,
    kind: str,
    facts: DeviceFacts,
    choice: Choice,
    arithmetic: Arithmetic = FLOAT32,
) -> Scheduled:
    """Schedule `anchor` as a matrix product of `shape` with packed weights."""
    left, weight = anchor_operands(program, anchor, arithmetic.operands)
    epilogue = Epilogue(program, anchor)
    tiling = _tiling(shape, facts, choice)
    pitch = program.memory_shape(left)[-1] if arithmetic is FLOAT32 else shape.k
    params = program_params(program)
    packed_size = tiling.columns.count * shape.k * tiling.columns.width
    form = program.halves.get(weight)
    params[weight] = Param(packed_size, arithmetic.packed, form)
    packing = _packing(shape, tiling.columns, arithmetic)

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        def body(frame: Frame) -> None:
            operands = (frame.buffers[left], frame.buffers[weight])
            _emit(frame, shape, tiling, epilogue, arithmetic, *operands, pitch)

        return build_kernel(symbol, params, device, body)

    def for_groups(device: GroupFacts) -> GroupKernel:
        rows = tiling.per_unit * tiling.height
        product = GroupProduct(
            f"{arithmetic.name}GEMM",
            shape.m,
            rows,
            shape.k,
            columns,
            matrix_left(pitch, arithmetic),
            run=0 if arithmetic.group == 1 else 1,
            arithmetic=arithmetic,
        )
        kernel = group_gemv if _is_gemv(shape, tiling) else group_product
        return kernel(product, params, epilogue, (left, weight), device, choice.group)

    columns = tiling.columns
    ragged = shape.m % tiling.height != 0 and (tiling.tiles - 1) % tiling.per_unit == 0
    axis, reason = split_axis(
        rows=tiling.units,
        channels=columns.count,
        weight_bytes=4 * shape.k * shape.n,
        activation_bytes=4 * shape.m * (shape.k + shape.n // arithmetic.group),
    )
    return Scheduled(
        kind=kind,
        emit=emit,
        rows=TileGrid(tiling.units, ragged and tiling.units > 1),
        channels=TileGrid(columns.count, columns.ragged),
        flops=2 * shape.m * shape.n * shape.k * arithmetic.group,
        preferred_axis=axis,
        axis_reason=reason,
        packings={weight: packing.in_half(form)},
        rows_inner=_rows_inner(shape, choice.opencl),
        space=_space(shape, facts),
        for_groups=for_groups,
        single_bytes=arithmetic is not FLOAT32,
        pitched=frozenset(range(len(params))) - {weight} if arithmetic is FLOAT32 else frozenset(),
        facts=_facts(shape, tiling, arithmetic),
    )


def _is_gemv(shape: GemmShape, tiling: _Tiling) -> bool:
    """Whether OpenCL class `gpu` has too few rows to stage them."""
    return shape.m <= min(tiling.per_unit * tiling.height, FEW_ROWS)


def _facts(shape: GemmShape, tiling: _Tiling, arithmetic: Arithmetic) -> KernelFacts:
    return KernelFacts(
        pixels=shape.m,
        columns=shape.n,
        depth=shape.k,
        taps=1,
        map_taps=1.0,
        step=arithmetic.group,
        tile_height=tiling.height,
        tile_width=tiling.columns.width,
        row_pixels=tiling.per_unit * tiling.height,
        rows_inner=int(_rows_inner(shape, tiling.choice.cpu)),
    )


def _rows_inner(shape: GemmShape, choice: DeviceChoice) -> bool:
    return rows_inner(4 * shape.k * shape.n) if choice.rows_inner is None else choice.rows_inner


def _tiling(shape: GemmShape, facts: DeviceFacts, choice: Choice) -> _Tiling:
    vectors = next((v for rows, v in _VECTORS_BY_ROWS if shape.m <= rows), facts.vectors)
    columns = channel_tiles(shape.n, facts.lanes, vectors, choice.vectors)
    height = choice.height or row_tile(shape.m, facts.max_rows)
    tiles = -(-shape.m // height)
    per_unit = choice.per_unit or tiles_per_unit(tiles, 2 * height * columns.width * shape.k)
    return _Tiling(columns, height, tiles, per_unit, choice)


def _space(shape: GemmShape, facts: DeviceFacts) -> Space:
    default = _tiling(shape, facts, Choice())
    return tile_space(
        facts,
        rows=shape.m,
        channels=shape.n,
        height=default.height,
        width=default.columns.width,
        per_unit=default.per_unit,
        tiles=default.tiles,
        rows_inner=_rows_inner(shape, DeviceChoice()),
        group=("items",) if _is_gemv(shape, default) else PRODUCT_KNOBS,
    )


def _emit(
    frame: Frame,
    shape: GemmShape,
    tiling: _Tiling,
    epilogue: Epilogue,
    arithmetic: Arithmetic,
    x: Any,
    w: Any,
    pitch: int,
) -> None:
    columns, height = tiling.columns, tiling.height
    choice = tiling.choice.on(frame.facts)
    used = arithmetic.on(frame, shape.k, x, w)
    with frame.tiles(rows_inner=_rows_inner(shape, choice)) as (unit, block):
        count: Any = tiling.per_unit
        if tiling.tiles % tiling.per_unit:
            count = tirx.min(i32(tiling.per_unit), tiling.tiles - unit * tiling.per_unit)
        with frame.loop(count) as inner:
            base = frame.bind("base", _row_begin(unit * tiling.per_unit + inner, shape, tiling))
            panel = frame.bind("panel", block * (shape.k * columns.width))
            first = frame.bind("first", columns.begin(block))
            rows = frame.offset("rows", base * pitch)
            weights = frame.offset("weights", panel)
            tile = used.arithmetic.tile(frame, height, columns.width)

            position = unit * tiling.per_unit + inner
            chunk, ask = (
                _chunk(shape, tiling),
                _next_panel(frame, shape, tiling, w, panel, position),
            )
            if ask is None:
                chunk, ask = _streams(
                    frame, shape, tiling, epilogue, (x, pitch, base, block, first)
                )
            tile.accumulate(
                Steps(shape.k, choice.unroll or 1, chunk, ask, neighbours=True),
                lambda i, k, run: arithmetic.left(
                    frame.facts, used.left, rows + i * pitch + k, run
                ),
                lambda k: lambda c: used.right[weights + k * columns.width + c],
                range(height),
            )
            tile.finish(
                lambda i, c, acc: epilogue.store(
                    frame,
                    [*unravel(base + i, epilogue.shape[:-1]), first + c],
                    (base + i) * epilogue.pitch + first + c,
                    acc,
                ),
                columns.valid,
            )


def _chunk(shape: GemmShape, tiling: _Tiling) -> int:
    """Steps of `k` per prefetched line, so that all row tiles together cover a panel."""
    lines = -(-shape.k * tiling.columns.width // LINE)
    return max(1, shape.k // -(-lines // tiling.tiles))


def _next_panel(
    frame: Frame, shape: GemmShape, tiling: _Tiling, w: Any, panel: Any, position: Any
) -> Callable[[Any, int], None] | None:
    """Where weights stream from memory, the row tiles that share a panel ask for the next one."""
    choice = tiling.choice.on(frame.facts)
    ahead = int(_rows_inner(shape, choice)) if choice.prefetch is None else choice.prefetch
    if not ahead:
        return None
    following = panel + ahead * shape.k * tiling.columns.width
    return lambda piece, pieces: frame.prefetch(w, following + LINE * (position * pieces + piece))


def _streams(
    frame: Frame, shape: GemmShape, tiling: _Tiling, epilogue: Epilogue, place: Sequence[Any]
) -> tuple[int, Callable[[Any, int], None] | None]:
    """Steps, and what to ask for: lines that the epilogue will read and write, and, a share in
    each tile of channels, the next row tile's input."""
    x, pitch, base, block, first = place
    columns, height = tiling.columns, tiling.height
    width, count = columns.width, columns.count
    outputs = height * lines_across(width) if is_streamed(shape.m * shape.n) else 0
    across = max(1, shape.k // LINE)
    inputs = height * across if is_streamed(shape.m * shape.k) else 0
    if not outputs + inputs:
        return 1, None

    def output(line: Any) -> None:
        for buffer, stride in epilogue.streams(frame):
            frame.prefetch(buffer, base * stride + first + tile_line(line, width, stride))

    def ask(piece: Any, pieces: int) -> None:
        prefetch_share(outputs, (piece, pieces), output)
        prefetch_share(
            inputs,
            (block * pieces + piece, pieces * count),
            lambda line: frame.prefetch(
                x, (base + height) * pitch + tile_line(line, across * LINE, pitch)
            ),
        )

    return steps_per_look(shape.k, max(outputs, inputs // count)), ask


def _row_begin(tile: Any, shape: GemmShape, tiling: _Tiling) -> Any:
    if shape.m % tiling.height == 0:
        return tile * tiling.height
    return tirx.min(tile * tiling.height, i32(shape.m - tiling.height))


def _packing(shape: GemmShape, columns: ChannelTiles, arithmetic: Arithmetic) -> Packing:
    def apply(weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        matrix = weight.reshape(shape.k * arithmetic.group, shape.n)
        return pack_columns(arithmetic.grouped(matrix), columns)

    key = f"gemm k={shape.k} n={shape.n} width={columns.width}"
    return Packing(key, apply)


def pack_columns(matrix: np.ndarray[Any, Any], columns: ChannelTiles) -> np.ndarray[Any, Any]:
    """`[k, n]` to `[tiles, k, width]`; the last tile overlaps, or is padded with zeros."""
    if columns.valid < columns.width:
        matrix = np.pad(matrix, ((0, 0), (0, columns.width - columns.valid)))
        return np.ascontiguousarray(matrix[None])
    starts = np.minimum(np.arange(columns.count) * columns.width, columns.channels - columns.width)
    packed = np.empty((columns.count, matrix.shape[0], columns.width), matrix.dtype)
    for tile, start in enumerate(starts):
        packed[tile] = matrix[:, start : start + columns.width]
    return packed
