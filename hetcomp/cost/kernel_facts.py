"""What a schedule knows of the kernel it makes: the loops, tiles and operands of a whole task."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KernelFacts"]


@dataclass(frozen=True)
class KernelFacts:
    """Sizes of one task's kernels. Zero where a family has no such thing.

    A product computes `pixels x columns x groups` outputs, each from `taps * depth` steps of
    multiply-adds. A row-wise kernel has `pixels` rows of `columns` elements.

    Attributes
    ----------
    pixels, columns, depth, taps
        Rows of the product (pixels, tokens, those of all heads), its columns (channels, keys),
        steps of the reduction for each tap of the window, and taps.
    groups
        Of a convolution; each tile of rows computes all of them.
    step
        Elements that one step of the reduction multiplies: 1 of floats, 4 of bytes.
    tile_height, tile_width
        Pixels and columns of a register tile.
    row_pixels
        Pixels of one tile of the row grid.
    lanes
        Elements of a vector.
    stride, dilation
        Of the window, down the map.
    map_taps
        Mean number of taps that lie on the map: those on padding are not computed.
    positions
        Products of a transformed tile (Winograd's method).
    item_bytes
        Bytes of an element of the first operand; 2 where any parameter lies in 16 bits.
    strided_input
        1 where neighbouring channels of the input lie apart (NCHW).
    rows_inner
        1 where row tiles vary fastest, so that a panel of weights serves all rows in turn.
    stages
        Steps of element-wise work and reductions besides the product.
    light_ops, heavy_ops
        Operations of these in a task, those of one instruction, and divisions and functions
        (`exp`, `erf`, ...), which take many.
    scattered_reads
        Elements that they read not in the order in which they write: transposes, gathers.
    """

    pixels: int = 0
    columns: int = 0
    depth: int = 0
    taps: int = 0
    groups: int = 1
    step: int = 1
    tile_height: int = 0
    tile_width: int = 0
    row_pixels: int = 0
    lanes: int = 0
    stride: int = 1
    dilation: int = 1
    map_taps: float = 0.0
    positions: int = 0
    item_bytes: int = 4
    strided_input: int = 0
    rows_inner: int = 0
    stages: int = 0
    light_ops: int = 0
    heavy_ops: int = 0
    scattered_reads: int = 0
