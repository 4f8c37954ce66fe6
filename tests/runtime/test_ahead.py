"""Inferences enqueued before they are asked for, and steps launched one by one or all at once."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import standin
from fresh_process import Script
from test_results import GPU_PLANS, assert_right

from hetcomp.errors import InputError, InternalError
from hetcomp.runtime import load

VOID_SECONDS = 0.02  # a gate that nobody opens is void long before


@pytest.mark.parametrize("ahead", ["on", "off"])
@pytest.mark.parametrize("chain", ["auto", "off"])
@pytest.mark.parametrize("plan", GPU_PLANS)
def test_close_upon_each_other(model: Path, opencl: str, plan: str, chain: str, ahead: str) -> None:
    with load(model, plan=plan, ahead=ahead, chain=chain) as session:
        for seed in range(30):
            assert_right(session, seed)
        status = session.status()
    assert (status.fallbacks, status.timeouts) == (0, 0)
    ahead_runs = status.ahead_used + status.ahead_voided
    assert (0 < ahead_runs < 30) if ahead == "on" else ahead_runs == 0
    assert status.gpu_launches == status.gpu_steps or chain == "auto"


def test_all_steps_are_one_launch_on_a_single_core(model: Path, opencl: str) -> None:
    with load(model, plan="mixed", pin="on") as session:
        status = session.status()
    if not status.gpu_pinned:
        pytest.skip("the OpenCL device is no CPU, or could not be pinned to one core")
    assert (status.gpu_launches, status.gpu_steps) == (1, 8)


@pytest.mark.parametrize("chain", ["auto", "off"])
def test_after_a_pause_the_inference_is_enqueued_anew(model: Path, opencl: str, chain: str) -> None:
    with load(model, plan="mixed", ahead="on", chain=chain) as session:
        for seed in range(10):
            assert_right(session, seed)
            time.sleep(VOID_SECONDS)
        status = session.status()
    assert status.ahead_voided > 0
    assert status.fallbacks == 0


def test_auto_gives_up_where_pauses_are_long(model: Path, opencl: str) -> None:
    with load(model, plan="mixed") as session:
        for seed in range(5):
            assert_right(session, seed)
            time.sleep(VOID_SECONDS)
        status = session.status()
    assert (status.ahead_used, status.ahead_voided) == (0, 0)


def test_what_waits_in_the_queue_does_not_outlive_its_table(model: Path, opencl: str) -> None:
    with load(model, plan="mixed", ahead="on") as session:
        for seed, plan in enumerate(["rows", "cpu", "channels", "gpu", "cpu", "mixed", "rows"]):
            assert_right(session, seed)
            session.use_plan(plan)
            assert_right(session, seed)
            assert len(session.time_task(1, "gpu", reps=2)) == 2
            assert_right(session, seed)
        assert session.status().fallbacks == 0


def test_sessions_take_the_queue_from_each_other(model: Path, opencl: str) -> None:
    with (
        load(model, plan="mixed", ahead="on") as first,
        load(model, plan="rows", ahead="on", chain="off") as second,
    ):
        for seed in range(20):
            assert_right(first, seed)
            assert_right(second, seed)
        assert first.status().fallbacks == second.status().fallbacks == 0


@pytest.mark.parametrize("chain", ["auto", "off"])
def test_a_failing_kernel_leaves_no_inference_behind(model: Path, opencl: str, chain: str) -> None:
    with load(model, plan="rows", ahead="on", chain=chain) as session:
        feeds = standin.feeds(3)
        poisoned = {**feeds, "y": feeds["y"].copy()}
        poisoned["y"][0, 0] = standin.POISON
        for seed in range(3):
            assert_right(session, seed)
            with pytest.raises(InternalError, match="poisoned input"):
                session.run(poisoned)
        assert_right(session, 9)
        assert session.status().fallbacks == 0


@pytest.mark.parametrize("start", [2**30 - 5, 2**32 - 5])
def test_gates_wrap_around(model: Path, opencl: str, start: int) -> None:
    with load(model, plan="mixed", ahead="on", epoch_start=start) as session:
        for seed in range(12):
            assert_right(session, seed)
        assert session.status().fallbacks == 0


@pytest.mark.parametrize("fault", ["wedge", "enqueue"])
def test_faults_of_single_launches(script: Script, model: Path, opencl: str, fault: str) -> None:
    answer, _ = script(
        f"""
        import numpy as np, standin
        from hetcomp.runtime import load
        session = load({str(model)!r}, plan="mixed", chain="off", ahead="on", fault={fault!r},
                       timeout_ms=200, quiet=True)
        right = []
        for seed in range(5):
            feeds = standin.feeds(seed)
            right.append(bool(np.array_equal(
                session.run(feeds)["out"], standin.reference(**feeds)["out"])))
        answer = [all(right), session.status().tier]
        """
    )
    assert answer == [True, "cpu"]


def test_exit_with_an_inference_in_the_queue(script: Script, model: Path, opencl: str) -> None:
    start = time.monotonic()
    answer, _ = script(
        f"""
        import standin
        from hetcomp.runtime import load
        session = load({str(model)!r}, plan="mixed", ahead="on")
        for seed in range(3):
            session.run(standin.feeds(seed))
        answer = session.status().fallbacks
        """
    )
    assert answer == 0
    assert time.monotonic() - start < 30.0


@pytest.mark.parametrize("options", [{"ahead": "yes"}, {"chain": "on"}])
def test_wrong_values(model: Path, options: dict[str, str]) -> None:
    with pytest.raises(InputError):
        load(model, plan="cpu", **options)


def test_profiles_are_complete(model: Path, opencl: str) -> None:
    with load(model, plan="gpu", ahead="on") as session:
        for run in session.profile(5).runs:
            ends = np.array([end for end in run.gpu_end_us if end >= 0])
            assert (np.diff(ends) >= 0).all()
            assert run.total_us >= ends[-1]
