"""Order of tiles, and the axis a split of a weighted layer should take."""

from __future__ import annotations

__all__ = ["rows_inner", "split_axis"]

_FEW_ROWS = 14
"""Rows of tiles below which a cut by rows is too coarse (measured on chains of convolutions)."""
_RESIDENT_BYTES = 1 << 20
"""Weights that stay in a second-level cache (2 MiB here) beside the activations."""


def rows_inner(weight_bytes: int) -> bool:
    """Whether rows should vary fastest: one tile's weights stay while all rows pass.

    With weights that fit the cache it is better to finish a row of outputs, which is then
    written in order.
    """
    return weight_bytes > _RESIDENT_BYTES


def split_axis(
    *, rows: int, channels: int, weight_bytes: int, activation_bytes: int
) -> tuple[str, str]:
    """`rows` or `channels`, and why.

    Cut by rows, both processors read all weights and their own rows; cut by channels, both read
    all activations and their own weights. What is larger should be the one that is divided.
    """
    if channels < 2:
        return "rows", "rows: one tile of channels"
    if rows < 2:
        return "channels", "channels: one tile of rows"
    if weight_bytes > activation_bytes:
        return "channels", (
            f"channels: {weight_bytes >> 10} KiB of weights against "
            f"{activation_bytes >> 10} KiB of activations"
        )
    if rows < _FEW_ROWS and channels > rows:
        return "channels", f"channels: only {rows} tiles of rows"
    return "rows", (
        f"rows: {activation_bytes >> 10} KiB of activations against "
        f"{weight_bytes >> 10} KiB of weights"
    )
