"""A row of output pixels of a depthwise convolution: what float and byte kernels share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from .epilogue import Epilogue
from .frame import Frame, i32
from .register_tile import RegisterTile
from .window import PixelTile, Window

__all__ = ["DepthwiseRow", "DepthwiseShape", "emit_rows"]


@dataclass(frozen=True)
class DepthwiseShape:
    """Sizes, and the register tile: `pixels` by `width` channels."""

    window: Window
    channels: int
    in_pitch: int
    width: int
    pixels: int

    @property
    def blocks(self) -> int:
        """Blocks of `width` channels."""
        return -(-self.channels // self.width)

    def begin(self, block: Any) -> Any:
        """First channel of a block; the last block overlaps within the same tile."""
        if self.channels % self.width == 0:
            return block * self.width
        return tirx.min(block * self.width, i32(self.channels - self.width))


class DepthwiseRow:
    """Emits one output row; `_accumulate` is the kernel's own."""

    def __init__(
        self,
        frame: Frame,
        shape: DepthwiseShape,
        epilogue: Epilogue,
        operands: tuple[Any, Any],
        at: tuple[Any, Any],
    ) -> None:
        self._frame, self._shape, self._epilogue = frame, shape, epilogue
        self._x, self._weights = operands
        self._image, self._out_row = at
        begin, self._count = shape.window.row_bounds(self._out_row)
        self._begin = frame.bind("kh0", begin)

    def blocks(self, pixels: PixelTile, column: Any) -> None:
        """All channels of a tile of pixels, so that output is written in order."""
        column = self._frame.bind("column", column)
        with self._frame.loop(self._shape.blocks) as block:
            first = self._frame.bind("first", self._shape.begin(block))
            tile = RegisterTile(self._frame, pixels.size, self._shape.width)
            self._accumulate(tile, pixels, column, first)
            self._store(tile, column, first)

    def _accumulate(self, tile: RegisterTile, pixels: PixelTile, column: Any, first: Any) -> None:
        """Add all taps of the window to `tile`."""
        raise NotImplementedError

    def _store(self, tile: RegisterTile, column: Any, first: Any) -> None:
        tile.finish(lambda i, c, acc: self._store_element(column + i, first + c, acc))

    def _in_row(self, kh: Any) -> Any:
        """The input row under row `kh` of the window."""
        w = self._shape.window
        return self._out_row * w.stride_h - w.pad_top + kh * w.dilation_h

    def _store_element(self, column: Any, channel: Any, value: Any) -> None:
        w = self._shape.window
        pixel = (self._image * w.out_height + self._out_row) * w.out_width + column
        self._epilogue.store(
            self._frame,
            [self._image, self._out_row, column, channel],
            pixel * self._epilogue.pitch + channel,
            value,
        )


def emit_rows(
    frame: Frame, shape: DepthwiseShape, row_at: Callable[[tuple[Any, Any]], DepthwiseRow]
) -> None:
    """All rows of a kernel's tile range; `row_at((image, output row))` makes what emits one."""
    w = shape.window
    with frame.tiles() as (row, _):
        image = i32(0) if w.batch == 1 else frame.bind("n", tirx.floordiv(row, w.out_height))
        out_row = row if w.batch == 1 else frame.bind("h", tirx.floormod(row, w.out_height))
        emitter = row_at((image, out_row))
        for pixels in w.pixel_tiles(shape.pixels):
            pixels.emit(frame, lambda column, pixels=pixels: emitter.blocks(pixels, column))  # type: ignore[misc]
