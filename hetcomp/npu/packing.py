"""How constant operands of products lie in the file for NPU drivers: as words of four bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hetcomp.schedules.half import BF16
from hetcomp.schedules.scheduled import Packing

from .operators import Operator, Product, WindowProduct

__all__ = ["packings"]

_WORD = 4


def packings(operator: Operator) -> Mapping[int, Packing]:
    """How constant operands are laid out, by position; all others as they are."""
    core = operator.core
    if isinstance(core, WindowProduct) and operator.kind == "conv2d":
        return {core.weights: _PACKINGS[core.dtype]}
    if isinstance(core, Product) and operator.kind == "linear":
        return {core.right: _PACKINGS[core.dtype]}
    return {}


def _words(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`[..., depth, columns]` bytes to `[..., depth / 4, columns]` words."""
    *lead, depth, columns = weights.shape
    grouped = weights.reshape(*lead, depth // _WORD, _WORD, columns)
    bytes_last = np.ascontiguousarray(np.moveaxis(grouped, -2, -1))
    return bytes_last.view("<i4").reshape(*lead, depth // _WORD, columns)


def _pairs(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`[..., depth, columns]` floats to `[..., depth / 2, columns]` words of two bfloat16."""
    first, second = (BF16.rounded(weights[..., i::2, :]).astype("<u4") for i in range(2))
    return np.asarray(second << 16 | first).view("<i4")


_PACKINGS: Mapping[str, Packing] = {
    "int32": Packing("npu words", _words),
    "float32": Packing("npu bf16 pairs", _pairs),
}
"""Of right operands that are constants, by the type of the sums."""
