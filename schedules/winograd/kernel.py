"""The Winograd kernel: per block of map tiles, transform, multiply, transform back.

The transformed input of a block and the products of one tile of channels stay in scratch memory
that fits the second-level cache. A transformed tile has `positions` elements, and each is a matrix
product of its own: tiles of the block by input channels, times input by output channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from ..blocks.epilogue import Epilogue
from ..blocks.frame import LINE, Frame, i32
from ..blocks.register_tile import RegisterTile, Steps, load_run
from ..choice import DeviceChoice
from .shape import WinogradShape

__all__ = ["emit_winograd"]


def emit_winograd(
    frame: Frame, shape: WinogradShape, epilogue: Epilogue, x: Any, weights: Any,
    choice: DeviceChoice,
) -> None:  # fmt: skip
    """Emit the kernel's body.

    Parameters
    ----------
    x, weights
        Input in NHWC; weights `[tile of channels][position][in channel][channel]`.
    choice
        Unrolling and prefetch.
    """

    def prepare(block: Any, memory: Any) -> None:
        emitter = _Emitter(frame, shape, epilogue, choice, memory)
        with frame.loop(emitter.tiles_of(block)) as tile:
            emitter.transform_input(x, tile, emitter.origin(block * shape.block + tile))

    with frame.prepared_tiles(shape.scratch.size, prepare) as (block, column, memory):
        emitter = _Emitter(frame, shape, epilogue, choice, memory)
        count = emitter.tiles_of(block)
        passes = frame.hold("passes", tirx.floordiv(count + (shape.height - 1), shape.height))
        with frame.loop(shape.positions) as position:
            emitter.multiply(weights, column, position, passes)
        with frame.loop(count) as tile:
            emitter.transform_output(tile, emitter.origin(block * shape.block + tile), column)


@dataclass(frozen=True)
class _Origin:
    """Where a map tile begins in the output."""

    image: Any
    row: Any
    column: Any


@dataclass(frozen=True)
class _Clamped:
    """A coordinate moved onto the map, and whether (1 or 0) it was there already."""

    index: Any
    inside: Any


def _begin(index: Any, size: int, extent: int) -> Any:
    """First element of the `index`-th run of `size`, the last one overlapping."""
    if extent <= size:
        return i32(0)
    return index * size if extent % size == 0 else tirx.min(index * size, i32(extent - size))


def _on_map(begin: Any, size: int, extent: int) -> Any:
    """How many of `size` outputs from `begin` on lie on the map."""
    return i32(size) if extent % size == 0 else tirx.min(i32(size), extent - begin)


class _Emitter:
    """Emits the three phases of a block; `memory` is its scratch memory."""

    def __init__(
        self, frame: Frame, shape: WinogradShape, epilogue: Epilogue, choice: DeviceChoice,
        memory: Any,
    ) -> None:  # fmt: skip
        self._frame, self._shape, self._epilogue = frame, shape, epilogue
        self._choice, self._memory, self._at = choice, memory, shape.scratch

    def tiles_of(self, block: Any) -> Any:
        """Map tiles of a block; the last block may have fewer."""
        size, tiles = self._shape.block, self._shape.tiles
        if tiles % size == 0:
            return i32(size)
        return self._frame.hold("count", tirx.min(i32(size), tiles - block * size))

    def origin(self, tile: Any) -> _Origin:
        """Coordinates of the map tile with number `tile`."""
        shape, frame = self._shape, self._frame
        tile = frame.hold("tile", tile)
        line = frame.hold("line", tirx.floordiv(tile, i32(shape.tiles_wide)))
        column = (tile - line * shape.tiles_wide) * shape.horizontal.outputs
        image: Any = i32(0)
        if shape.window.batch > 1:
            image = frame.hold("n", tirx.floordiv(line, i32(shape.tiles_high)))
            line = line - image * shape.tiles_high
        row = frame.hold("h", line * shape.vertical.outputs)
        return _Origin(image, row, frame.hold("w", column))

    def transform_input(self, x: Any, tile: Any, origin: _Origin) -> None:
        """Store the transformed input of one map tile; padding reads as zero."""
        shape, frame, w = self._shape, self._frame, self._shape.window
        rows, columns = shape.vertical.inputs, shape.horizontal.inputs
        top = frame.bind("top", origin.row - w.pad_top)
        left = frame.bind("left", origin.column - w.pad_left)
        inside = tirx.all(top >= 0, top + rows <= w.height, left >= 0, left + columns <= w.width)
        with frame.choose(inside) as (whole, edge):
            with whole:
                corner = frame.hold("corner", (origin.image * w.height + top) * w.width + left)
                self._transform_patch(
                    tile,
                    lambda j: lambda i, c: x[(corner + i * w.width + j) * shape.in_pitch + c],
                )
            with edge:
                lines = [self._clamped(top + i, w.height) for i in range(rows)]
                self._transform_patch(
                    tile, lambda j: self._edge_column(x, origin.image, lines, left + j)
                )

    def _clamped(self, index: Any, extent: int) -> _Clamped:
        nearest = tirx.max(i32(0), tirx.min(index, i32(extent - 1)))
        inside = tirx.all(index >= 0, index < extent)
        # Held apart: TVM would drop the clamp where it sees that it only matters outside.
        return _Clamped(
            self._frame.hold("nearest", nearest),
            self._frame.hold("inside", tirx.Cast("int32", inside)),
        )

    def _edge_column(
        self, x: Any, image: Any, rows: Sequence[_Clamped], column: Any
    ) -> Callable[[int, Any], Any]:
        """Inputs of a column that may lie off the map: what is read there is replaced by zero."""
        shape, w = self._shape, self._shape.window
        at = self._clamped(column, w.width)

        def load(i: int, channel: Any) -> Any:
            pixel = (image * w.height + rows[i].index) * w.width + at.index
            value = x[pixel * shape.in_pitch + channel]
            on_map = rows[i].inside * at.inside != 0
            return tirx.Select(on_map, value, tirx.FloatImm("float32", 0.0))

        return load

    def _transform_patch(
        self, tile: Any, column_of: Callable[[Any], Callable[[int, Any], Any]]
    ) -> None:
        """Transform down each column, then along each row, one vector of channels at a time."""
        shape, frame = self._shape, self._frame
        down, along = shape.vertical, shape.horizontal

        def vector(first: Any, lanes: int) -> None:
            for j in frame.steps(along.inputs):
                load = column_of(j)
                with frame.lanes(lanes) as lane:
                    column = [self._bind(load(i, first + lane)) for i in range(down.inputs)]
                    self._store_half(j, lane, lanes, down.apply_data(column, self._bind))
            for i in frame.steps(down.inputs):
                with frame.lanes(lanes) as lane:
                    row = along.apply_data(self._load_half(i, lane, lanes), self._bind)
                    for j, value in enumerate(row):
                        position = i * along.inputs + j
                        to = position * shape.plane + tile * shape.row + first + lane
                        frame.store(self._memory, self._at.transformed + to, value)

        frame.chunk_loop(shape.in_channels, vector)

    def _store_half(self, column: Any, lane: Any, lanes: int, values: Sequence[Any]) -> None:
        """Store a column's values for the second transform."""
        for row, value in enumerate(values):
            place = row * self._shape.horizontal.inputs + column
            self._frame.store(self._memory, self._at.half + place * lanes + lane, value)

    def _load_half(self, row: Any, lane: Any, lanes: int) -> list[Any]:
        """The values of a row, one from each column."""
        columns = self._shape.horizontal.inputs
        places = [row * columns + column for column in range(columns)]
        return [self._bind(self._memory[self._at.half + p * lanes + lane]) for p in places]

    def multiply(self, weights: Any, column: Any, position: Any, passes: Any) -> None:
        """One position's products for one tile of channels, in `passes` register tiles.

        The last of them reads and writes on to the end of a full block: what lies there is old,
        and nobody looks at its products.
        """
        shape, frame, memory = self._shape, self._frame, self._memory
        width = shape.columns.width
        panel = frame.offset("panel", (column * shape.positions + position) * shape.panel)
        plane = self._at.transformed + position * shape.plane
        products = self._at.products + position * shape.product_plane
        with frame.loop(passes) as number:
            first = frame.hold("first", _begin(number, shape.height, shape.block))
            left = frame.offset("left", plane + first * shape.row)
            tile = RegisterTile(frame, shape.height, width)
            chunk, ask = self._next_panel(weights, panel, number)
            tile.accumulate(
                Steps(shape.in_channels, self._choice.unroll or 1, chunk, ask, neighbours=True),
                lambda i, k, run: load_run(memory, left + (i * shape.row + k), run),
                lambda k: lambda c: weights[panel + (k * width + c)],
                range(shape.height),
            )
            out = frame.bind("out", products + first * width)
            tile.finish(lambda i, c, acc: frame.store(memory, out + i * width + c, acc))

    def _next_panel(
        self, weights: Any, panel: Any, number: Any
    ) -> tuple[int, Callable[[Any, int], None] | None]:
        """Steps per prefetch, and what asks for the next panel, divided among the passes."""
        shape, frame = self._shape, self._frame
        ahead = 1 if self._choice.prefetch is None else self._choice.prefetch
        if not ahead:
            return 1, None
        passes = -(-shape.block // shape.height)
        lines = -(-shape.panel // (LINE * passes))
        chunk = max(1, shape.in_channels // lines)
        each = -(-lines // (shape.in_channels // chunk))

        def prefetch(piece: Any, pieces: int) -> None:
            for line in range(each):
                index = (number * pieces + piece) * each + line
                frame.prefetch(weights, panel + (ahead * shape.panel + LINE * index))

        return chunk, prefetch

    def transform_output(self, tile: Any, origin: _Origin, column: Any) -> None:
        """Transform one map tile's products back and store what lies on the map."""
        shape, frame, w = self._shape, self._frame, self._shape.window
        width, pitch = shape.columns.width, self._epilogue.pitch
        frame.chunk_loop(width, lambda c, lanes: self._transform_products(tile, c, lanes))
        first = frame.bind("first", shape.columns.begin(column))
        rows = _on_map(origin.row, shape.vertical.outputs, w.out_height)
        columns = _on_map(origin.column, shape.horizontal.outputs, w.out_width)
        with frame.loop(rows) as i, frame.loop(columns) as j:
            at = [origin.image, origin.row + i, origin.column + j]
            pixel = frame.hold("pixel", (at[0] * w.out_height + at[1]) * w.out_width + at[2])
            place = self._at.outputs + (i * shape.horizontal.outputs + j) * width
            frame.vector_loop(
                width,
                lambda c: self._epilogue.store(
                    frame, [*at, first + c], pixel * pitch + first + c, self._memory[place + c]
                ),
            )

    def _transform_products(self, tile: Any, first: Any, lanes: int) -> None:
        """Transform down each column, then along each row, of one vector of channels."""
        shape, frame = self._shape, self._frame
        down, along, width = shape.vertical, shape.horizontal, shape.columns.width

        def product(i: int, j: Any, lane: Any) -> Any:
            plane = (i * along.inputs + j) * shape.product_plane
            return self._bind(self._memory[self._at.products + plane + tile * width + first + lane])

        for j in frame.steps(along.inputs):
            with frame.lanes(lanes) as lane:
                column = [product(i, j, lane) for i in range(down.inputs)]
                self._store_half(j, lane, lanes, down.apply_output(column, self._bind))
        for i in frame.steps(down.outputs):
            with frame.lanes(lanes) as lane:
                row = along.apply_output(self._load_half(i, lane, lanes), self._bind)
                for j, value in enumerate(row):
                    place = (i * along.outputs + j) * width + first + lane
                    frame.store(self._memory, self._at.outputs + place, value)

    def _bind(self, value: Any) -> Any:
        return self._frame.bind("t", value)
