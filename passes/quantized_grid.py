"""Grids of quantised tensors, and how a number is put on one: scaled, rounded, saturated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax

from .quantized_values import Array
from .relax_values import constant_value, dims_of_expr, dtype_of

__all__ = ["BYTES", "Grid", "Term", "grid_of", "positive", "quantize_tail", "scalar"]

BYTES = ("int8", "uint8")
_INTEGERS = 1.5 * 2**23
"""From half to twice this, float32 numbers are the integers."""


def quantize_tail(emit: Callable[[Any], Any], value: Any, zero_point: int, dtype: str) -> Any:
    """`value` in units of the output's scale, saturated, rounded half to even, and moved.

    Adding 1.5 times 2**23 pushes the fraction out of a float32, which rounds it as the processor
    rounds: to even. TVM vectorises that, but not `nearbyint`. Saturation comes first, so that the
    number is small enough; nor can a compiler then fuse the addition with a multiplication. The
    constants are arguments because TVM's OpenCL C prints seven digits of a literal.
    """
    limits, rank = np.iinfo(dtype), len(dims_of_expr(value) or ())
    floor = emit(relax.op.maximum(value, scalar(limits.min - zero_point, rank)))
    within = emit(relax.op.minimum(floor, scalar(limits.max - zero_point, rank)))
    pushed = emit(relax.op.add(within, scalar(_INTEGERS, rank)))
    rounded = emit(relax.op.subtract(pushed, scalar(_INTEGERS - zero_point, rank)))
    return relax.op.astype(rounded, dtype)


def scalar(value: Any, rank: int) -> Any:
    """A float32 constant of one element; being an argument, it lets layers share a kernel."""
    return relax.const(np.full((1,) * rank, value, np.float32))


@dataclass(frozen=True)
class Term:
    """One operand of a sum: integers (an array where they are constant) and their grid."""

    values: Any
    ratio: Any
    zero_point: Any


@dataclass(frozen=True)
class Grid:
    """Per-tensor parameters of a `quantize`."""

    scale: Any
    zero_point: int
    dtype: str

    def of(self, value: float) -> int:
        """The integer that stands for `value`."""
        limits = np.iinfo(self.dtype)
        if math.isinf(value):
            return int(limits.max if value > 0 else limits.min)
        rounded = float(np.rint(np.float32(value) / self.scale)) + self.zero_point
        return int(min(max(rounded, limits.min), limits.max))

    def quantize(self, value: Any) -> Any:
        """The operator."""
        scale, zero_point = relax.const(self.scale), relax.const(self.zero_point, self.dtype)
        return relax.op.quantize(value, scale, zero_point, axis=-1, out_dtype=self.dtype)


def grid_of(call: Any) -> Grid | None:
    """Read a `quantize` to bytes with one scale and one zero point."""
    scale, zero_point = (constant_value(argument) for argument in call.args[1:])
    dtype = dtype_of(call)
    if scale is None or zero_point is None or scale.size != 1 or zero_point.size != 1:
        return None
    if dtype not in BYTES or scale.dtype != np.float32 or not positive(scale):
        return None
    return Grid(scale.reshape(()), int(zero_point.reshape(())), dtype)


def positive(scale: Array) -> bool:
    """Whether all scales are above 0, so that order is kept."""
    return bool((scale > 0).all())
