"""Numbers of 16 bits: every pattern read, every kind of number stored, against NumPy's rounding."""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import tvm
from kernel_harness import HOST

from hetcomp.schedules.blocks.frame import Frame, Param, build_kernel
from hetcomp.schedules.facts import CpuFacts, DeviceFacts
from hetcomp.schedules.half import BF16, F16, HalfFormat

NUMPY = {F16: np.dtype(np.float16), BF16: np.dtype(ml_dtypes.bfloat16)}
COUNT = 1 << 16
FORMATS = pytest.mark.parametrize("form", [F16, BF16], ids=lambda form: form.name)
FACTS = pytest.mark.parametrize("facts", [HOST.cpu, CpuFacts.SSE], ids=lambda facts: facts.name)
"""By instructions where there are, and by integer arithmetic."""


def converted(facts: DeviceFacts, source: Param, target: Param, given: Any) -> Any:
    """`given` copied from a parameter like `source` to one like `target`, in vectors."""

    def body(frame: Frame) -> None:
        x, y = frame.buffers
        with frame.tiles():
            frame.vector_loop(COUNT, lambda i: frame.store(y, i, x[i]))

    function = build_kernel("f", [source, target], facts, body)
    built = tvm.compile(tvm.IRModule({"f": function}), target=HOST.llvm)
    out = np.zeros(COUNT, np.uint16 if target.half else np.float32)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (given, out)]
    (built.mod if hasattr(built, "mod") else built)["f"](*pointers, 0, 1, 0, 1)
    return out


@FORMATS
@FACTS
def test_every_number_reads_as_itself(form: HalfFormat, facts: DeviceFacts) -> None:
    bits = np.arange(COUNT, dtype=np.uint16)
    half, single = Param(COUNT, "float32", form), Param(COUNT, "float32")
    got = converted(facts, half, single, bits)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(got, bits.view(NUMPY[form]).astype(np.float32))


def numbers(form: HalfFormat) -> npt.NDArray[np.float32]:
    """Ties, their neighbours, and numbers of all sizes."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, COUNT, dtype=np.uint32)
    with np.errstate(invalid="ignore"):
        exact = rng.integers(0, 1 << 15, COUNT // 4, dtype=np.uint16).view(NUMPY[form])
        low, high = exact.astype(np.float64), np.nextafter(exact, NUMPY[form].type(np.inf))
        ties = ((low + high.astype(np.float64)) / 2).astype(np.float32)
    mixed = np.concatenate([ties, np.nextafter(ties, np.float32(0)), -ties])
    found = np.concatenate([mixed, bits.view(np.float32)[: COUNT - mixed.size - 6]])
    small, beyond = np.float32(2.0**-149), np.float32(form.largest * 1.0039)
    special = np.array([np.nan, np.inf, -np.inf, -3.4028235e38, small, beyond], np.float32)
    return np.concatenate([found, special])


def expected(form: HalfFormat, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    kept = np.clip(values, np.float32(-form.largest), np.float32(form.largest))
    with np.errstate(invalid="ignore"):
        return np.asarray(kept.astype(NUMPY[form]).astype(np.float32))


@FORMATS
@FACTS
def test_stored_numbers_are_the_nearest(form: HalfFormat, facts: DeviceFacts) -> None:
    values = numbers(form)
    half, single = Param(COUNT, "float32", form), Param(COUNT, "float32")
    got = converted(facts, single, half, values).view(NUMPY[form]).astype(np.float32)
    np.testing.assert_array_equal(got, expected(form, values))


@FORMATS
def test_weights_are_rounded_alike(form: HalfFormat) -> None:
    values = numbers(form)
    got = form.rounded(values).view(NUMPY[form]).astype(np.float32)
    np.testing.assert_array_equal(got, expected(form, values))
