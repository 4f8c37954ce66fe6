"""The benchmark's clock work: turns, statistics, and what is compared with what."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import numpy as np
import pytest

from hetcomp.bench.models import BenchOptions
from hetcomp.bench.reference import compare, relative_error
from hetcomp.bench.timing import Arm, Samples, TimingOptions, interleave, ratio
from hetcomp.errors import InputError
from hetcomp.exclusive import exclusive


def test_arms_take_turns_and_all_samples_are_kept() -> None:
    order: list[str] = []
    arms = [Arm(name, lambda name=name: order.append(name)) for name in "ab"]  # type: ignore[misc]
    options = TimingOptions(rounds=2, reps=2, warmup=1, settle_seconds=0.0)
    samples = interleave(arms, options)
    assert "".join(order) == "aaabbb" + "bbbaaa"
    assert [len(item.all_ms) for item in samples] == [4, 4]


def test_two_rounds_are_done_beyond_the_cap() -> None:
    options = TimingOptions(rounds=9, reps=1, settle_seconds=0.0, cap_seconds=0.0)
    (samples,) = interleave([Arm("a", lambda: time.sleep(0.001))], options)
    assert len(samples.rounds_ms) == 2
    assert samples.median_ms >= 1.0


def test_ratio_is_taken_within_rounds() -> None:
    one = Samples("one", ((2.0, 2.0), (20.0, 20.0), (1.0, 1.0)))
    two = Samples("two", ((1.0, 1.0), (10.0, 10.0), (1.0, 1.0)))
    found = ratio(one, two)
    assert found.median == 2.0
    assert found.p10 < 2.0 == pytest.approx(found.p90)


@pytest.mark.parametrize(
    ("ours", "expected", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.2], [1.0, 2.0], 0.1),
        ([0.5], [0.0], 0.5),
        ([np.nan], [np.nan], 0.0),
        ([np.inf, 1.0], [np.inf, 1.0], 0.0),
        ([-np.inf], [np.inf], np.inf),
        ([np.nan], [1.0], np.inf),
        ([1.0], [np.nan], np.inf),
        ([1.0, 1.0], [1.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_relative_error(ours: list[float], expected: list[float], error: float) -> None:
    assert relative_error(np.array(ours), np.array(expected)) == pytest.approx(error)


def test_outputs_beyond_the_tolerance() -> None:
    ours = {"y": np.array([1.0, 2.0])}
    assert compare(ours, {"y": np.array([1.0, 2.0 + 1e-5])})[0].ok
    assert not compare(ours, {"y": np.array([1.0, 2.001])})[0].ok


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"models": ("resnet0",)}, "no model 'resnet0'"),
        ({"models": ("resnet18",), "against": ("tflite",)}, "no peer 'tflite'"),
        ({"models": ()}, "at least one model"),
        ({"models": ("resnet18",), "threads": 0}, "threads must be at least 1"),
    ],
)
def test_options_are_checked(fields: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        BenchOptions(**fields)  # type: ignore[arg-type]


def test_exclusive_holds_the_lock_and_gives_it_back(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    before = os.sched_getscheduler(0)
    with exclusive(lock), lock.open("a") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert os.sched_getscheduler(0) == before
    with lock.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_exclusive_without_a_lock_does_nothing() -> None:
    with exclusive(None):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
