"""One figure for many samples of a time."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

__all__ = ["typical", "undisturbed"]

_DECILES = 10


def undisturbed(samples: Sequence[float]) -> float:
    """The lowest decile: what the work takes when nothing else disturbs it.

    Other load, interrupts and migrations only ever add time, and they add it to different samples
    of different candidates; a median on a busy machine compares the disturbances.
    """
    ordered = sorted(samples)
    return ordered[(len(ordered) - 1) // _DECILES]


def typical(samples: Sequence[float]) -> float:
    """The median: what the work takes in a network, which is disturbed as much."""
    return median(samples)
