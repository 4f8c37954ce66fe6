"""Random layers of every family against f64; hypothesis prints seed and a reproducing example."""

from __future__ import annotations

from typing import Any

import pytest
from families import FAMILIES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_harness import HOST, lower, run_cut, with_algorithm
from layer_case import Case, assert_within

from hetcomp.schedules.facts import CpuFacts
from hetcomp.schedules.winograd.schedule import TILES

SETTINGS = settings(
    max_examples=15,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
FACTS = (HOST.cpu, CpuFacts.AVX512, CpuFacts.AVX2, CpuFacts.NEON, CpuFacts.SSE)


@pytest.mark.parametrize("family", FAMILIES)
@SETTINGS
@given(data=st.data())
def test_on_this_machine(family: str, data: Any) -> None:
    """Right values; disjoint parts that are the whole; nothing read or written beside a buffer."""
    case: Case = data.draw(FAMILIES[family])
    facts = data.draw(st.sampled_from(FACTS))
    algorithm = data.draw(st.sampled_from([None, *(tile.variant for tile in TILES)]))
    lowered = lower(case.model, facts, with_algorithm(algorithm) if algorithm else None)
    outputs = run_cut(lowered, case.feeds, facts)
    kinds = {task.kind for task in lowered.graph.tasks}
    assert kinds & case.kinds, (kinds, case.kinds)
    winograd = any("winograd" in kernel.scheduled.variant for kernel in lowered.kernels)
    assert_within(case, outputs, winograd=winograd)
