"""The time of a kernel, told apart from the speed of the machine."""

from __future__ import annotations

import numpy as np
import pytest

from hetcomp.cost.work import KernelWork
from hetcomp.profile.drift import steady_us
from hetcomp.profile.visits import Turns, samples_of

TIMES_US = np.array([5.0, 20.0, 80.0, 300.0])


def inferences(factors: list[float], noise: float = 0.02) -> np.ndarray:
    rng = np.random.default_rng(3)
    exact = np.outer(factors, TIMES_US)
    return exact * np.exp(noise * rng.standard_normal(exact.shape))


def test_a_machine_that_is_slow_for_a_visit_makes_no_kernel_slow() -> None:
    times = inferences([1.0] * 6 + [1.4] * 6 + [1.02] * 6)
    assert steady_us(times) == pytest.approx(TIMES_US, rel=0.03)


def test_one_disturbed_kernel_disturbs_no_other() -> None:
    times = inferences([1.0] * 9)
    times[2, 1] *= 50.0
    assert steady_us(times) == pytest.approx(TIMES_US, rel=0.03)


def test_times_that_were_not_seen_are_left_out() -> None:
    times = inferences([1.0] * 9)
    times[:, 0] = np.nan
    times[4:, 1] = np.nan
    found = steady_us(times)
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx(TIMES_US[1:], rel=0.03)


def test_visits_become_one_sample_a_launch() -> None:
    works = tuple(KernelWork("linear", "direct", "cpu", n, 1, 4, 1) for n in range(1, 5))
    groups = tuple(f"layer{n}" for n in range(4))

    def visit(factor: float) -> tuple[Turns, ...]:
        times = inferences([factor] * 3)
        return (Turns(works, groups, times, times[:, :1]),)

    samples = samples_of([visit(1.0), visit(1.5), visit(1.01)])
    assert [(sample.work, sample.group) for sample in samples] == list(
        zip(works, groups, strict=True)
    )
    assert all(len(sample.times_us) == 9 for sample in samples)
    assert [sample.time_us for sample in samples] == pytest.approx(TIMES_US, rel=0.04)
