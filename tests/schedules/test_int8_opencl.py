"""Integer kernels on the OpenCL device, both classes, bit for bit against NumPy's integers."""

from __future__ import annotations

from typing import Any

import pytest
from arena import Trial, run_trials
from batches import BATCHES
from hypothesis import given
from hypothesis import strategies as st
from kernel_harness import EXACT, assert_close, lower
from opencl_device import NEEDS_OPENCL
from quantized_families import QUANTIZED_FAMILIES, QuantizedCase
from test_int8_split import CASES, layer
from test_opencl_numerics import execute

from hetcomp.codegen import opencl_text
from hetcomp.codegen.opencl_bytes import BYTES_PROLOGUE
from hetcomp.device_class import find_groups
from hetcomp.devices.cpu import cpu_features

pytestmark = NEEDS_OPENCL

OF_EACH = 2
"""Layers of each family in a batch; the first batch has the smallest."""


@pytest.mark.parametrize("device_class", ["cpu-like", "gpu"])
@BATCHES
@given(
    cases=st.tuples(*[st.tuples(*[family] * OF_EACH) for family in QUANTIZED_FAMILIES.values()]),
    seed=st.integers(0, 2**32 - 1),
)
def test_on_the_device(cases: Any, seed: int, device_class: str) -> None:
    """Right values; random cuts that fit; nothing read or written beside a buffer."""
    flat: list[QuantizedCase] = [case for family in cases for case in family]
    groups = find_groups(device_class)
    trials = [Trial(lower(case.model, groups=groups), case.feeds) for case in flat]
    outputs = run_trials(trials, seed, execute)
    for case, trial, (got,) in zip(flat, trials, outputs, strict=True):
        assert_close(got, case.expected, EXACT)
        products = [k for k in trial.lowered.kernels if k.scheduled.kind in case.kinds]
        assert products
        assert not any(k.scheduled.why_no_opencl for k in products)


EXTENSION = """\
#define __opencl_c_integer_dot_product_input_4x8bit_packed 1
inline int dot_4x8packed_us_int(uint a, uint b) {
  int4 products = convert_int4(as_uchar4(a)) * convert_int4(as_char4(b));
  return products.s0 + products.s1 + products.s2 + products.s3;
}
"""
"""What cl_khr_integer_dot_product says that a device which has it offers; PoCL 3.1 has not."""


def test_a_device_with_dot_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencl_text, "BYTES_PROLOGUE", EXTENSION + BYTES_PROLOGUE)
    case = layer((33, 37), (37, 20), "linear")
    groups = find_groups("gpu")
    outputs = run_trials([Trial(lower(case.model, groups=groups), case.feeds)], 0, execute)
    assert_close(outputs[0][0], case.expected, EXACT)


@pytest.mark.skipif("avx512_vnni" not in cpu_features(), reason="no such instruction here")
@pytest.mark.parametrize("name", ["linear", "one row", "convolution"])
def test_a_cpu_with_dot_products(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the runtime says of PoCL's devices, in place of 16-bit multiplications."""
    text = "#define HETCOMP_X86_VNNI 1\n" + BYTES_PROLOGUE
    monkeypatch.setattr(opencl_text, "BYTES_PROLOGUE", text)
    case = CASES[name]
    outputs = run_trials([Trial(lower(case.model), case.feeds)], 0, execute)
    assert_close(outputs[0][0], case.expected, EXACT)
