"""Integer kernels, bit for bit against NumPy's integers: shapes, grids and tails at random."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_harness import EXACT, HOST, assert_close, lower, run_cut
from quantized_families import QUANTIZED_FAMILIES, QuantizedCase

from hetcomp.schedules.facts import CpuFacts, DeviceFacts

SETTINGS = settings(
    max_examples=20,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
FACTS = st.sampled_from(
    [HOST.cpu, HOST.cpu, CpuFacts.AVX512, CpuFacts.AVX2, CpuFacts.SSE,
     replace(CpuFacts.NEON, dot="")]
)  # fmt: skip
"""ARM's own instructions run in test_int8_arm.py; here its tiles without them."""


@pytest.mark.parametrize("family", QUANTIZED_FAMILIES)
@SETTINGS
@given(data=st.data(), facts=FACTS)
def test_every_cut(family: str, data: st.DataObject, facts: DeviceFacts) -> None:
    """The layer's output under every cut is NumPy's."""
    case: QuantizedCase = data.draw(QUANTIZED_FAMILIES[family])
    lowered = lower(case.model, facts)
    (output,) = run_cut(lowered, case.feeds, facts)
    assert_close(output, case.expected, EXACT)
    assert case.kinds & {task.kind for task in lowered.graph.tasks}
