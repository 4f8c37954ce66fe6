"""The kernels as 64-bit ARM code, run by an emulator that has no more than the CPU they are for."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import arena
import pytest
from arena import Trial, run_trials
from arm_harness import NEON, execute_on_arm, why_not
from batches import BATCHES
from families import FAMILIES
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_harness import Range, lower, make_model, normal, with_algorithm
from layer_case import Case, assert_within
from required import ARM, ARM_IN_FULL

from hetcomp.schedules.winograd.schedule import TILES

pytestmark = ARM.marker(why_not())

OF_EACH = 4
"""Layers of each family in a batch; the first batch has the smallest."""
BATCHES_HERE = 5 if ARM_IN_FULL.here else 3
ALGORITHMS = (None, *(with_algorithm(tile.variant) for tile in TILES))
"""Small layers would all be direct by themselves."""


@settings(BATCHES, max_examples=BATCHES_HERE)
@given(
    cases=st.tuples(*[st.tuples(*[family] * OF_EACH) for family in FAMILIES.values()]),
    seed=st.integers(0, 2**32 - 1),
)
def test_on_an_emulated_core(cases: Any, seed: int, tmp_path: Path) -> None:
    """Right values; random cuts that fit; nothing read or written beside a buffer."""
    flat: list[Case] = [case for family in cases for case in family]
    trials = [
        Trial(lower(case.model, NEON.facts, algorithm), dict(case.feeds))
        for case, algorithm in zip(flat, cycle(ALGORITHMS), strict=False)
    ]
    outputs = run_trials(trials, seed, lambda arena: execute_on_arm(arena, NEON, tmp_path))
    for case, trial, got in zip(flat, trials, outputs, strict=True):
        winograd = any("winograd" in k.scheduled.variant for k in trial.lowered.kernels)
        assert_within(case, got, winograd=winograd)


def test_the_harness_sees_what_is_written_beside_a_buffer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(
        "g (float[7,9] x) => (float[7,5] y) { y = MatMul(x, w) }", {"w": normal(9, 5)}
    )
    trial = Trial(lower(model, NEON.facts), {"x": normal(7, 9)})
    monkeypatch.setattr(arena, "random_cut", lambda task, _: [Range(0, 2, 0, 2)])
    with pytest.raises(AssertionError, match=r"beside the outputs|written twice"):
        run_trials([trial], 0, lambda arena: execute_on_arm(arena, NEON, tmp_path))
