"""Integer kernels on the OpenCL device, both classes, bit for bit against NumPy's integers."""

from __future__ import annotations

from typing import Any

import pytest
from arena import Trial, run_trials
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernel_harness import EXACT, assert_close, lower
from quantized_families import QUANTIZED_FAMILIES, QuantizedCase
from test_opencl_numerics import execute

from hetcomp.device_class import find_groups
from hetcomp.devices import describe_opencl

pytestmark = pytest.mark.skipif(
    not any(device.verdict for device in describe_opencl()), reason="no OpenCL device that serves"
)

SETTINGS = settings(
    max_examples=2,
    deadline=None,
    print_blob=True,
    # Examples are whole batches: made smaller one kernel at a time they would take hours.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
OF_EACH = 3
"""Layers of each family in a batch; the first batch has the smallest."""


@pytest.mark.parametrize("device_class", ["cpu-like", "gpu"])
@SETTINGS
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
