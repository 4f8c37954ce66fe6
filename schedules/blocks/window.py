"""Geometry of a 2-D window over a padded NHWC map, for convolutions of every kind.

Padding is never copied and never tested in the inner loop: rows of the window that fall outside
are skipped by loop bounds, and tiles of pixels at the left and right edge are emitted apart, with
the multiply-adds on padding left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from hetcomp.cost.kernel_facts import KernelFacts

from ..program import Stage
from .frame import Frame, i32

__all__ = ["PixelTile", "Window", "window_of"]


@dataclass(frozen=True)
class Window:
    """Sizes in pixels; `pad_top`/`pad_left` are what the first window hangs over."""

    batch: int
    height: int
    width: int
    out_height: int
    out_width: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    groups: int

    @property
    def is_pointwise(self) -> bool:
        """A 1x1 window with stride 1 and no padding: a matrix product over pixels."""
        return (
            (self.kernel_h, self.kernel_w, self.stride_h, self.stride_w) == (1, 1, 1, 1)
            and (self.height, self.width) == (self.out_height, self.out_width)
            and self.pad_top == self.pad_left == 0
        )

    @property
    def facts(self) -> KernelFacts:
        """Pixels and taps of a kernel whose row tiles are rows of the output map."""
        return KernelFacts(
            pixels=self.batch * self.out_height * self.out_width,
            taps=self.kernel_h * self.kernel_w,
            map_taps=self.map_taps,
            stride=self.stride_h,
            dilation=self.dilation_h,
            row_pixels=self.out_width,
        )

    @property
    def map_taps(self) -> float:
        """Mean number of taps that lie on the map."""
        down = sum(
            0 <= row * self.stride_h - self.pad_top + tap * self.dilation_h < self.height
            for row in range(self.out_height)
            for tap in range(self.kernel_h)
        )
        across = sum(
            self.inside(pixel, tap)
            for pixel in range(self.out_width)
            for tap in range(self.kernel_w)
        )
        return down * across / (self.out_height * self.out_width)

    def row_bounds(self, out_row: Any) -> tuple[Any, Any]:
        """First window row inside the map, and how many are, for an output row."""
        top = out_row * self.stride_h - self.pad_top
        last_top = (self.out_height - 1) * self.stride_h - self.pad_top
        reach = (self.kernel_h - 1) * self.dilation_h
        if self.pad_top == 0 and last_top + reach < self.height:
            return i32(0), self.kernel_h
        d = self.dilation_h
        begin = tirx.max(i32(0), tirx.floordiv(d - 1 - top, i32(d))) if self.pad_top else i32(0)
        end = tirx.min(i32(self.kernel_h), tirx.floordiv(self.height - top + d - 1, i32(d)))
        return begin, tirx.max(i32(0), end - begin)

    def inside(self, pixel: int, tap: int) -> bool:
        """Whether column `tap` of the window of output `pixel` lies on the map."""
        column = pixel * self.stride_w - self.pad_left + tap * self.dilation_w
        return 0 <= column < self.width

    def pixel_tiles(self, size: int) -> list[PixelTile]:
        """Tiles of `size` output pixels of a row, the last overlapping; equal neighbours that
        touch no padding are joined into one run."""
        runs: list[PixelTile] = []
        for index in range(-(-self.out_width // size)):
            begin = min(index * size, self.out_width - size)
            taps = {
                tap: tuple(i for i in range(size) if self.inside(begin + i, tap))
                for tap in range(self.kernel_w)
            }
            whole = all(len(pixels) == size for pixels in taps.values())
            regular = whole and begin == index * size
            if regular and runs and runs[-1].regular:
                runs[-1] = PixelTile(runs[-1].begin, runs[-1].count + 1, size, None)
            else:
                runs.append(PixelTile(begin, 1, size, None if whole else taps))
        return runs


@dataclass(frozen=True)
class PixelTile:
    """`count` consecutive tiles of `size` pixels from `begin` on; `taps` lists, for each window
    column, the pixels of the tile for which it lies on the map (None: all)."""

    begin: int
    count: int
    size: int
    taps: Mapping[int, tuple[int, ...]] | None

    @property
    def regular(self) -> bool:
        """Whether all its windows lie on the map."""
        return self.taps is None

    def emit(self, frame: Frame, body: Callable[[Any], None]) -> None:
        """Run `body(first pixel)` for each tile of the run."""
        if self.count == 1:
            body(i32(self.begin))
            return
        with frame.loop(self.count) as index:
            body(index * self.size + self.begin)


def window_of(anchor: Stage) -> Window:
    """Read the window from the anchor's annotations (see `hetcomp.passes.anchors`)."""
    sizes = [int(value) for value in anchor.annotations["hetcomp.window"]]
    return Window(*sizes)
