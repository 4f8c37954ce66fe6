"""Status, profiles and single-task times are complete and plausible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import standin
from fresh_process import Script

from hetcomp.errors import DeviceError, InputError, InternalError
from hetcomp.runtime import load


def test_status_on_the_cpu(model: Path) -> None:
    with load(model, plan="cpu", timeout_ms=1234, threads=2) as session:
        session.run(standin.feeds(0))
        status = session.status()
    assert (status.tier, status.plan, status.requested_plan) == ("cpu", "cpu", "cpu")
    assert (status.device, status.why_no_gpu) == ("", "")  # not looked for
    assert (status.threads, status.timeout_ms) == (2, 1234.0)
    assert (status.cpu_steps, status.gpu_steps) == (8, 0)
    assert (status.runs, status.fallbacks, status.timeouts) == (1, 0, 0)
    assert 0 < status.open_ms < 1000


def test_status_with_opencl(model: Path, opencl: str) -> None:
    with load(model, plan="rows") as session:
        status = session.status()
    assert (status.tier, status.device) == ("svm-ahead", opencl)
    assert (status.cpu_steps, status.gpu_steps) == (8, 8)
    assert status.atomics
    assert 0.0 < status.poll_ns < 1e5
    assert status.build_ms > 0
    assert status.warmup_ms > 0
    if status.device_is_cpu and status.cpu_core >= 0:
        assert status.gpu_pinned
        assert status.cpu_pinned
        assert status.cpu_core != status.gpu_core


def test_run_leaves_the_thread_where_it_was(script, model: Path, opencl: str) -> None:
    answer, _ = script(
        f"""
        import os, standin
        from hetcomp.runtime import load
        before = os.sched_getaffinity(0)
        session = load({str(model)!r}, plan="rows", pin="on")
        session.run(standin.feeds(0))
        session.time_task(0, "gpu")
        session.profile(2)
        answer = os.sched_getaffinity(0) == before
        """
    )
    assert answer is True


@pytest.mark.parametrize("plan", ["cpu", "rows", "gpu"])
def test_profile(model: Path, plan: str, request: pytest.FixtureRequest) -> None:
    if plan != "cpu":
        request.getfixturevalue("opencl")
    with load(model, plan=plan) as session:
        profile = session.profile(5)
        status = session.status()
        feeds = standin.feeds(1)
        expected = standin.reference(feeds["x"], feeds["y"])["out"]
        session.profile(1, feeds)
        np.testing.assert_array_equal(session.run(feeds)["out"], expected)
    assert profile.plan == plan
    assert len(profile.runs) == 5
    for run in profile.runs:
        assert (len(run.cpu), len(run.gpu_end_us)) == (status.cpu_steps, status.gpu_steps)
        last = 0.0
        for step in run.cpu:
            assert last <= step.start_us <= step.end_us <= run.total_us
            assert step.wait_us >= 0.0
            last = step.end_us
        seen = [end for end in run.gpu_end_us if end >= 0.0]
        assert seen == sorted(seen)
        if status.gpu_steps:
            assert 0.0 < run.gpu_end_us[-1] <= run.total_us


def test_profile_checks_its_inputs(model: Path) -> None:
    with load(model, plan="cpu") as session, pytest.raises(InputError, match="reps"):
        session.profile(0)


@pytest.mark.parametrize("processor", ["cpu", "gpu"])
def test_time_task(model: Path, processor: str, request: pytest.FixtureRequest) -> None:
    if processor == "gpu":
        request.getfixturevalue("opencl")
    with load(model, plan="cpu") as session:
        whole = session.time_task("t1_mix", processor, reps=20)
        part = session.time_task("t1_mix", processor, rows=(0, 2), reps=20)
        feeds = standin.feeds(1)
        expected = standin.reference(feeds["x"], feeds["y"])["out"]
        np.testing.assert_array_equal(session.run(feeds)["out"], expected)
    assert (len(whole), len(part)) == (20, 20)
    assert min(*whole, *part) > 0.0


@pytest.fixture
def picky_model(tmp_path: Path) -> Path:
    """The model with a `mixer` that only wants row tiles 2 and 3, and channel tiles 1 to 5.

    The CPU's fails for others; the OpenCL device's never says that it is done.
    """

    def picky(text: str) -> str:
        wanted = "r0 == 2 && r1 == 4 && c0 == 1 && c1 == 6"
        head, mixer = text.split("__kernel void mixer(")
        mixer = mixer.replace("  hetcomp_leave", f"  if ({wanted}) hetcomp_leave", 1)
        chained = "step[2] == 2 && step[3] == 4 && step[4] == 1 && step[5] == 6"
        mixer = mixer.replace("hetcomp_leave(sync, st", f"if ({chained}) hetcomp_leave(sync, st")
        return f"{head}__kernel void mixer({mixer}"

    def picky_c(text: str) -> str:
        wanted = zip("2416", range(3, 7), strict=True)
        check = " || ".join(f"args[{at}].v_int64 != {tile}" for tile, at in wanted)
        return text.replace("KERNEL(mixer) {", f"KERNEL(mixer) {{ if ({check}) return -1;")

    return standin.build(tmp_path, edit_source=picky, edit_c=picky_c)


def test_time_task_runs_the_given_tiles(picky_model: Path) -> None:
    with load(picky_model, plan="cpu") as session:
        part = session.time_task("t1_mix", "cpu", rows=(2, 4), channels=(1, 6), reps=4)
        assert len(part) == 4
        with pytest.raises(InternalError):
            session.time_task("t1_mix", "cpu", rows=(2, 4))


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize("chain", ["auto", "off"])
def test_time_task_runs_the_given_tiles_of_the_device(
    script: Script, picky_model: Path, chain: str
) -> None:
    """In a process of its own, which gives the device up for all that follows."""
    answer, _ = script(
        f"""
        from hetcomp.errors import DeviceError
        from hetcomp.runtime import load
        session = load({str(picky_model)!r}, plan="cpu", chain={chain!r}, timeout_ms=2000)
        part = session.time_task("t1_mix", "gpu", rows=(2, 4), channels=(1, 6), reps=4)
        try:
            session.time_task("t1_mix", "gpu", rows=(2, 4))
        except DeviceError:
            answer = len(part)
        """
    )
    assert answer == 4


def test_time_task_checks_its_arguments(model: Path) -> None:
    with load(model, plan="cpu") as session:
        with pytest.raises(InputError, match="no task"):
            session.time_task("t9", "cpu")
        with pytest.raises(InputError, match=r"rows \[0, 13\) of 12"):
            session.time_task(0, "cpu", rows=(0, 13))
        with pytest.raises(InputError, match="processor"):
            session.time_task(0, "npu")


def test_copies(model: Path, opencl: str) -> None:
    with load(model, plan="rows") as session:
        small, large = session.copies(64, reps=5), session.copies(1 << 20, reps=5)
        assert set(large) == set(small) <= {"fine", "coarse", "buffer"}
        assert "buffer" in large
        for memory, times in large.items():
            assert len(times.upload_us) == len(times.download_us) == 5
            assert min(*times.upload_us, *times.download_us) > 0.0
            assert min(times.upload_us) > min(small[memory].upload_us)
        for size, reps in ((-1, 5), (0, 5), (1 << 31, 5), (64, 0)):
            with pytest.raises(InputError, match="copies: "):
                session.copies(size, reps)
        session.run(standin.feeds(0))
        assert session.status().fallbacks == 0


def test_copies_need_a_device(model: Path) -> None:
    with load(model, plan="cpu", device="off") as session, pytest.raises(DeviceError):
        session.copies(64)
