"""Half precision: numbers of 16 bits in memory, float32 in registers but for products of f16.

Numeric policy of `--precision f16` and `bf16`: a model's inputs and outputs keep their types. What
lies in memory between tasks, and weights of `LEAST_WEIGHTS` elements or more, have 16 bits,
rounded to nearest, ties to even; a number beyond the largest is stored as the largest, so that a
mask of -3.4e38 stays a number. A task computes in float32: epilogues, softmax, normalisation,
reductions and attention never round in between, but where a row of intermediate results waits in
the output's own memory. Winograd's method rounds the weights that it has transformed,
which shows as up to 2.5 roundings of the largest output.

Tensors that are float16 in the model itself stay so in memory, whatever the precision, and tasks
compute them in float32 just so; an infinity stays one (`hetcomp.schedules.half_program`).

Where a CPU multiplies float16 at twice float32's rate, and in OpenCL's class `gpu` as
`CompileOptions.opencl_f16` says, `--precision f16` lets convolutions and linear layers add up to
`hetcomp.schedules.blocks.half_tile.CHAIN` products in float16 before a sum goes to float32; such a
partial sum must stay below 65504. `--exact` and every other precision keep all sums in float32.
Where a CPU multiplies bfloat16 (ARM's `bf16`), convolutions and linear layers of `--precision bf16`
take its products, which are exact, and its sums in float32, to which numbers below 1e-38 are 0.

With `--npu-driver` in precision `bf16` convolutions and linear layers between tasks may run there,
products of bf16 summed in float32 in an order of their own (`hetcomp.npu.operators`): the result
is off the CPU's by rounding, and whole tasks are moved, never a part of one.

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
from .half_bits import bf16_bits, f16_bits, float_of_bf16, float_of_f16
from .half_opencl import call_f16_bits, call_float_of_f16, call_half_of_f16

__all__ = [
    "BF16",
    "F16",
    "FLOAT16",
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
        What larger numbers are stored as.
    """

    name: str
    memory: str
    largest: float

    @property
    def is_f16(self) -> bool:
        """Whether its numbers are float16."""
        return self.memory == "float16"

    def rounded(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """`array` of float32 in this format."""
        kept = np.clip(array, -self.largest, self.largest).astype(np.float32)
        if self.is_f16:
            half: np.ndarray[Any, Any] = kept.astype(np.float16)
            return half
        bits = kept.view(np.uint32)
        upper = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return np.asarray(np.where(np.isnan(kept), 0x7FC0, upper), np.uint16)

    def pointer(self, facts: DeviceFacts) -> str:
        """Element type of a kernel's parameter: bits, where conversion has no instruction."""
        return self.memory if facts.f16 and not facts.opencl else "uint16"


F16 = HalfFormat("f16", "float16", 65504.0)
FLOAT16 = HalfFormat("float16", "float16", 65536.0)
"""A model's own float16: what is stored as 65536 is an infinity."""
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

    def __init__(self, memory: Any, form: HalfFormat, facts: DeviceFacts) -> None:
        self.memory = memory
        self._form, self._opencl = form, facts.opencl

    @property
    def is_f16(self) -> bool:
        """Whether memory holds float16 that the processor may know."""
        return self._typed or (self._opencl and self._form.is_f16)

    @property
    def is_bf16(self) -> bool:
        """Whether memory holds the bits of bfloat16."""
        return self._form is BF16

    @property
    def numbers(self) -> Any:
        """The same read as float16; for `is_f16` only."""
        return self.memory if self._typed else _Numbers(self.memory)

    @property
    def _typed(self) -> bool:
        """Whether memory is known to be float16."""
        return str(self.memory.dtype) == "float16"

    def __getitem__(self, index: Any) -> Any:
        stored = self.memory[index]
        if self._typed:
            return tirx.Cast(_like(stored, "float32"), stored)
        if self._form is BF16:
            return float_of_bf16(stored)
        return call_float_of_f16(stored) if self._opencl else float_of_f16(stored)

    def stored(self, value: Any) -> Any:
        """The float32 `value` as an element of memory."""
        limit = tirx.FloatImm("float32", self._form.largest)
        kept = tirx.max(-limit, tirx.min(limit, value))  # in this order NaN stays NaN
        if self._typed:
            return tirx.Cast(_like(kept, "float16"), kept)
        if self._form is BF16:
            return bf16_bits(kept)
        return call_f16_bits(kept) if self._opencl else f16_bits(kept)


class _Numbers:
    """Bits of float16, in OpenCL C, that read as float16."""

    dtype = "float16"

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    def __getitem__(self, index: Any) -> Any:
        return call_half_of_f16(self._memory[index])


def _like(value: Any, kind: str) -> str:
    """`kind` with as many lanes as `value`."""
    lanes = value.ty.dtype.lanes
    return f"{kind}x{lanes}" if lanes > 1 else kind
