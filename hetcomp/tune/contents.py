"""What the tensors of a trial hold: numbers by which a wrong kernel is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["drawn"]

_PATTERN = (1 << 16) + 17
"""Floats repeat this many random numbers, so that large weights cost no time."""


def drawn(
    shape: Sequence[int], dtype: str, rng: np.random.Generator, scale: float = 1.0
) -> np.ndarray[Any, Any]:
    """Normal floats of magnitude `scale`, any bytes and booleans; wider integers are 0, a valid
    index anywhere."""
    kind = np.dtype(dtype)
    if np.issubdtype(kind, np.floating):
        return np.resize(rng.standard_normal(_PATTERN) * scale, shape).astype(kind)
    if kind == np.bool_:
        return rng.integers(0, 2, shape).astype(kind)
    if kind.itemsize == 1:
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    return np.zeros(shape, kind)
