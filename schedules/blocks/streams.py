"""Activations that come from beyond the caches: asked for while the tile before is computed.

The hardware follows rows that are read or written in order; a tile touches a few lines of many
rows. Asking for the lines early is worth up to a quarter of a layer's time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import tirx

from .frame import LINE

__all__ = ["is_streamed", "lines_across", "prefetch_share", "steps_per_look", "tile_line"]

_STREAMED_BYTES = 512 << 10
"""Tensors of float32 that do not stay in the second-level cache from one layer to the next."""
_LEAST_STEPS = 4
"""Steps of the reduction per look ahead: fewer cost more than they hide."""


def is_streamed(elements: int) -> bool:
    """Whether a tensor of so many float32 is likely to come from beyond the caches."""
    return 4 * elements >= _STREAMED_BYTES


def steps_per_look(steps: int, lines: int) -> int:
    """Steps of a reduction for each line that is asked for, or for several."""
    return max(min(_LEAST_STEPS, steps), steps // max(1, lines))


def prefetch_share(lines: int, place: tuple[Any, int], prefetch: Callable[[Any], None]) -> None:
    """`prefetch(line)` for the part of `lines` that is due at `place`, (position, positions)."""
    position, positions = place
    share = -(-lines // positions)
    for line in range(share):
        prefetch(position * share + line)


def lines_across(width: int) -> int:
    """Lines of a tile's row `width` channels wide, which may be less than one."""
    return -(-width // LINE)


def tile_line(line: Any, width: int, stride: int) -> Any:
    """Offset of a line of a tile `width` channels wide, its rows `stride` elements apart."""
    across = lines_across(width)
    row, column = tirx.floordiv(line, across), tirx.floormod(line, across)
    return row * stride + column * LINE
