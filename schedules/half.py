"""Half precision: numbers of 16 bits in memory, float32 in registers but for products of f16.

Numeric policy of `--precision f16` and `bf16`: a model's inputs and outputs keep their types. What
lies in memory between tasks, and weights of `LEAST_WEIGHTS` elements or more, have 16 bits,
rounded to nearest, ties to even; a number beyond the largest is stored as the largest, so that a
mask of -3.4e38 stays a number. A task computes in float32: epilogues, softmax, normalisation,
reductions and attention never round in between, but where a row of intermediate results waits in
the output's own memory. Weights that Winograd's method has transformed stay in float32.

Where a CPU multiplies float16 at twice float32's rate, convolutions and linear layers add up to
`hetcomp.schedules.blocks.half_tile.CHAIN` products in float16 before a sum goes to float32; such a
partial sum must stay below 65504. `--exact` keeps all sums in float32.

f16 has 11 significant bits up to 65504, bf16 has 8 up to 3.4e38: a rounding errs by up to 2^-12 and
2^-9 of a number. Below 6e-5 f16 loses bits, below 3e-8 all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from .facts import DeviceFacts

__all__ = [
    "BF16",
    "F16",
    "FORMATS",
    "LEAST_WEIGHTS",
    "HalfBuffer",
    "HalfFormat",
    "Halves",
    "is_large_weight",
]

LEAST_WEIGHTS = 1024
"""Elements from which on a constant is kept in 16 bits; biases and scales stay in float32."""


@dataclass(frozen=True)
class HalfFormat:
    """A floating point format of 16 bits.

    Attributes
    ----------
    name
        As in `CompileOptions.precision`.
    memory
        Element type of arrays, as NumPy knows it: bf16 are bits to it.
    largest
        Largest finite number.
    """

    name: str
    memory: str
    largest: float

    def rounded(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """`array` of float32 in this format."""
        kept = np.clip(array, -self.largest, self.largest).astype(np.float32)
        if self.memory == "float16":
            half: np.ndarray[Any, Any] = kept.astype(np.float16)
            return half
        bits = kept.view(np.uint32)
        upper = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return np.asarray(np.where(np.isnan(kept), 0x7FC0, upper), np.uint16)

    def pointer(self, facts: DeviceFacts) -> str:
        """Element type of a kernel's parameter: bits, where conversion has no instruction."""
        return self.memory if facts.f16 and not facts.opencl else "uint16"


F16 = HalfFormat("f16", "float16", 65504.0)
BF16 = HalfFormat("bf16", "uint16", float(np.uint32(0x7F7F0000).view(np.float32)))
FORMATS: Mapping[str, HalfFormat] = {form.name: form for form in (F16, BF16)}

Halves = Mapping[int, HalfFormat]
"""Parameters in 16 bits, by position."""


def is_large_weight(array: np.ndarray[Any, Any]) -> bool:
    """Whether a constant is kept in 16 bits."""
    return array.dtype == np.float32 and array.ndim > 1 and array.size >= LEAST_WEIGHTS


class HalfBuffer:
    """A parameter of 16 bits that reads as float32: to templates a buffer like any other."""

    dtype = "float32"

    def __init__(self, memory: Any, form: HalfFormat) -> None:
        self.memory, self._form = memory, form

    @property
    def is_f16(self) -> bool:
        """Whether memory holds float16 that the processor knows."""
        return str(self.memory.dtype) == "float16"

    def __getitem__(self, index: Any) -> Any:
        stored = self.memory[index]
        if self.is_f16:
            return tirx.Cast(_like(stored, "float32"), stored)
        bits = tirx.Cast(_like(stored, "uint32"), stored)
        return _let(bits, _from_f16) if self._form is F16 else _as_float(bits << _u32(16))

    def stored(self, value: Any) -> Any:
        """The float32 `value` as an element of memory."""
        limit = tirx.FloatImm("float32", self._form.largest)
        kept = tirx.max(-limit, tirx.min(limit, value))  # in this order NaN stays NaN
        if self.is_f16:
            return tirx.Cast(_like(kept, "float16"), kept)
        half = _let(_as_bits(kept), _to_f16 if self._form is F16 else _to_bf16)
        return tirx.Cast(_like(half, "uint16"), half)


def _let(value: Any, body: Any) -> Any:
    """`body(x)` where `x` is `value`, computed once."""
    var = tirx.Var("h", str(value.ty.dtype))
    return tirx.Let(var, value, body(var))


def _to_bf16(bits: Any) -> Any:
    """Adds half of what is cut off, and the last bit that stays, so that ties go to even."""
    upper = (bits + _u32(0x7FFF) + ((bits >> _u32(16)) & _u32(1))) >> _u32(16)
    return tirx.Select((bits & _u32(0x7FFFFFFF)) > _u32(0x7F800000), _u32(0x7FC0), upper)


def _to_f16(bits: Any) -> Any:
    """As bf16, with a smaller exponent; adding 0.5 rounds the numbers that have none."""
    size = bits & _u32(0x7FFFFFFF)
    normal = (size + _u32(0xFFF) + ((size >> _u32(13)) & _u32(1)) - _u32(0x38000000)) >> _u32(13)
    small = _as_bits(_as_float(size) + tirx.FloatImm("float32", 0.5)) - _u32(0x3F000000)
    half = tirx.Select(size < _u32(0x38800000), small, normal)
    number = tirx.Select(size > _u32(0x7F800000), _u32(0x7E00), half)
    return number | ((bits >> _u32(16)) & _u32(0x8000))


def _from_f16(bits: Any) -> Any:
    """The exponent is corrected by a multiplication, which serves the smallest numbers too."""
    size = (bits & _u32(0x7FFF)) << _u32(13)
    number = _as_bits(_as_float(size) * tirx.FloatImm("float32", 2.0**112))
    finite = tirx.Select(size < _u32(0x0F800000), number, size | _u32(0x7F800000))
    return _as_float(finite | ((bits & _u32(0x8000)) << _u32(16)))


def _as_bits(value: Any) -> Any:
    return tirx.reinterpret(_like(value, "uint32"), value)


def _as_float(bits: Any) -> Any:
    return tirx.reinterpret(_like(bits, "float32"), bits)


def _like(value: Any, kind: str) -> str:
    """`kind` with as many lanes as `value`."""
    lanes = value.ty.dtype.lanes
    return f"{kind}x{lanes}" if lanes > 1 else kind


def _u32(value: int) -> Any:
    return tirx.const(value, "uint32")
