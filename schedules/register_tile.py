"""The register tile: rows x channels of accumulators, the core of every matrix-like kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from .frame import Frame

__all__ = ["ChannelTiles", "RegisterTile", "channel_tiles", "row_tile", "tiles_per_unit"]

_LOAD_COST = 2.0
"""Loads of one weight row, in rows of work: why taller tiles are faster."""
_NARROW_PENALTY = 1.15
"""A tile one vector wide keeps fewer multiply-adds in flight per broadcast."""
_UNIT_FLOPS = 400_000
"""Work of one row unit times one channel tile worth a work-group on PoCL (about 3 us)."""
_MIN_UNITS = 16
"""Row units below which a split could no longer follow the wanted share."""


@dataclass(frozen=True)
class ChannelTiles:
    """How `channels` outputs are covered by tiles of `width`, the last one overlapping.

    `valid < width` only where there are fewer channels than one vector: then the tile is padded
    and only `valid` channels are stored.
    """

    channels: int
    width: int
    count: int
    valid: int

    @property
    def ragged(self) -> bool:
        """Whether the last tile overlaps its predecessor."""
        return self.count > 1 and self.channels % self.width != 0

    def begin(self, tile: Any) -> Any:
        """First channel of `tile`."""
        if not self.ragged:
            return tile * self.width
        return tirx.min(tile * self.width, self.channels - self.width)


def channel_tiles(channels: int, lanes: int, max_vectors: int) -> ChannelTiles:
    """Cover `channels` with the least padded work, in tiles of 1 to `max_vectors` vectors."""
    if channels < lanes:
        return ChannelTiles(channels, lanes, 1, channels)
    best: tuple[float, int] | None = None
    vectors = max_vectors
    while vectors >= 1:
        width = vectors * lanes
        if width <= channels:
            cost = -(-channels // width) * width * (_NARROW_PENALTY if vectors == 1 else 1.0)
            best = min(best, (cost, width)) if best is not None else (cost, width)
        vectors //= 2
    assert best is not None
    return ChannelTiles(channels, best[1], -(-channels // best[1]), best[1])


def row_tile(rows: int, max_rows: int) -> int:
    """Height of the tiles that cover `rows` with the least work."""
    heights = range(1, min(rows, max_rows) + 1)
    return min(heights, key=lambda h: (-(-rows // h) * (h + _LOAD_COST), -h))


def tiles_per_unit(tiles: int, tile_flops: int) -> int:
    """Row tiles per unit of splitting: enough work for a work-group, units enough to split."""
    by_work = max(1, _UNIT_FLOPS // max(1, tile_flops))
    return max(1, min(by_work, tiles // _MIN_UNITS))


class RegisterTile:
    """Accumulators of `rows` x `width` float32, one buffer a row so that each stays on the stack.

    Parameters
    ----------
    frame
        Kernel being built.
    rows, width
        Size of the tile; `width` is a multiple of `lanes`, or below it a power of two.
    """

    def __init__(self, frame: Frame, rows: int, width: int) -> None:
        self._frame = frame
        self._lanes = min(frame.facts.lanes, width)
        self._vectors = width // self._lanes
        self._rows = [frame.local("acc", width) for _ in range(rows)]
        self.height = rows
        for row in self._rows:
            for j in range(self._vectors):
                zero = tirx.Broadcast(tirx.FloatImm("float32", 0.0), self._lanes)
                frame.store(row, tirx.Ramp(j * self._lanes, 1, self._lanes), zero)

    def multiply_add(
        self, left: Callable[[int], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """`acc[i, c] += left(i) * right(c)` for the given rows; `right` takes a channel offset."""
        for i in rows:
            self.each_vector(
                lambda c, i=i: self._frame.store(  # type: ignore[misc]
                    self._rows[i], c, self._rows[i][c] + left(i) * right(c)
                )
            )

    def multiply_add_each(
        self, left: Callable[[int, Any], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """As `multiply_add`, with a left operand that varies by channel (depthwise)."""
        for i in rows:
            self.each_vector(
                lambda c, i=i: self._frame.store(  # type: ignore[misc]
                    self._rows[i], c, self._rows[i][c] + left(i, c) * right(c)
                )
            )

    def finish(self, store: Callable[[int, Any, Any], None], valid: int | None = None) -> None:
        """Call `store(row, channel offset, accumulator)`; only for `valid` channels if given."""
        for i, row in enumerate(self._rows):
            if valid is not None and valid < self._lanes * self._vectors:
                for c in range(valid):
                    store(i, tirx.IntImm("int32", c), row[c])
            else:
                self.each_vector(lambda c, i=i, row=row: store(i, c, row[c]))  # type: ignore[misc]

    def each_vector(self, body: Callable[[Any], None]) -> None:
        """Run `body(channel offset)` once per vector of the tile's width, vectorised."""
        for j in range(self._vectors):
            if self._lanes == 1:
                body(tirx.IntImm("int32", j))
                continue
            with T.vectorized(0, self._lanes) as lane:
                body(lane + j * self._lanes)
