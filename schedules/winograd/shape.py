"""Sizes of one Winograd convolution: tiles of the map, blocks of tiles, scratch memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..blocks.frame import LINE
from ..blocks.register_tile import ChannelTiles
from ..blocks.window import Window
from ..facts import DeviceFacts
from .transform import Transform

__all__ = ["Scratch", "WinogradShape", "block_tiles"]

_BYTES = 4
_CACHED_BYTES = 1 << 18
"""Transformed input of a block of a layer with few channels: stays in the second-level cache
beside weights and products (blocks of 512 KiB and more are up to 20% slower, measured with 64 to
128 channels)."""
_LEAST_REGISTER_TILES = 2
"""Register tiles that each panel of weights should serve, as it comes from the third-level cache
or from memory where there are many channels (14x14x256: one 565 us, two 524 us)."""


@dataclass(frozen=True)
class Scratch:
    """Offsets (elements) of transformed inputs, half transformed ones, products and outputs."""

    transformed: int
    half: int
    products: int
    outputs: int
    size: int


@dataclass(frozen=True)
class WinogradShape:
    """How a map is cut into tiles, and tiles into blocks, the unit of a split by rows.

    Attributes
    ----------
    window
        The convolution: 3x3, stride 1, dilation 1, one group.
    in_channels, in_pitch
        Channels of the input, and elements in memory from one of its pixels to the next.
    columns
        Tiles of output channels.
    vertical, horizontal
        Transforms down the columns and along the rows of the map.
    block
        Map tiles a block; the last block may have fewer.
    height
        Map tiles a register tile.
    """

    window: Window
    in_channels: int
    in_pitch: int
    columns: ChannelTiles
    vertical: Transform
    horizontal: Transform
    block: int
    height: int

    @property
    def tiles_high(self) -> int:
        """Map tiles down the map."""
        return -(-self.window.out_height // self.vertical.outputs)

    @property
    def tiles_wide(self) -> int:
        """Map tiles across the map."""
        return -(-self.window.out_width // self.horizontal.outputs)

    @property
    def tiles(self) -> int:
        """Map tiles of the whole batch."""
        return self.window.batch * self.tiles_high * self.tiles_wide

    @property
    def blocks(self) -> int:
        """Blocks of the whole batch."""
        return -(-self.tiles // self.block)

    @property
    def positions(self) -> int:
        """Elements of a transformed tile, each with a matrix product of its own."""
        return self.vertical.inputs * self.horizontal.inputs

    @property
    def panel(self) -> int:
        """Elements of the weights of one position and one tile of channels."""
        return self.in_channels * self.columns.width

    @property
    def row(self) -> int:
        """Elements from one tile of the transformed input to the next.

        A line more than the channels: rows of a register tile that lie a power of two apart would
        share a few sets of the first-level cache.
        """
        return self.in_channels + LINE

    @property
    def plane(self) -> int:
        """Elements of one position of the transformed input."""
        return self.block * self.row

    @property
    def product_plane(self) -> int:
        """Elements of one position of the products, a line more for the same reason."""
        return self.block * self.columns.width + LINE

    @property
    def scratch(self) -> Scratch:
        """Where in the scratch memory what begins."""
        half = self.positions * self.plane
        products = half + self.positions * LINE
        outputs = products + self.positions * self.product_plane
        return Scratch(0, half, products, outputs, outputs + self.pixels * self.columns.width)

    @property
    def pixels(self) -> int:
        """Outputs of a map tile."""
        return self.vertical.outputs * self.horizontal.outputs


def block_tiles(
    window: Window,
    in_channels: int,
    columns: ChannelTiles,
    vertical: Transform,
    horizontal: Transform,
    facts: DeviceFacts,
) -> int:
    """Map tiles a block, in blocks of equal size; 0 where not one fits the scratch memory."""
    one = WinogradShape(
        window, in_channels, in_channels, columns, vertical, horizontal, block=1, height=1
    )
    two = replace(one, block=2)
    each = two.scratch.size - one.scratch.size
    limit = 1 + (facts.scratch_bytes // _BYTES - one.scratch.size) // each
    cached = _CACHED_BYTES // (_BYTES * one.positions * one.row)
    most = min(limit, max(cached, _LEAST_REGISTER_TILES * facts.max_rows))
    return -(-one.tiles // -(-one.tiles // most)) if most > 0 else 0
