"""Tier mailbox: a kernel that stays for the next inference, for a while, and only where asked for.

That it computes right in all plans and ways out of failures is tested with the other tiers.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fresh_process import Script
from test_results import GPU_PLANS, assert_right, random_table

from hetcomp.errors import InputError
from hetcomp.runtime import load

MAILBOX = {"tier": "mailbox", "experimental": True}
EXPIRY_SECONDS = 0.02  # the kernel has ended long before


@pytest.mark.parametrize("plan", GPU_PLANS)
def test_the_kernel_stays(model: Path, opencl: str, plan: str) -> None:
    with load(model, plan=plan, **MAILBOX) as session:
        for seed in range(40):
            assert_right(session, seed)
        status = session.status()
    assert (status.tier, status.gpu_launches, status.fallbacks) == ("mailbox", 1, 0)
    assert status.ahead_used > 0
    assert status.ahead_used + status.ahead_voided == 39


def test_after_a_pause_the_kernel_is_launched_anew(model: Path, opencl: str) -> None:
    with load(model, plan="mixed", **MAILBOX) as session:
        for seed in range(10):
            assert_right(session, seed)
            time.sleep(EXPIRY_SECONDS)
        status = session.status()
    assert status.ahead_voided > 0  # on a busy machine some last longer
    assert (status.ahead_used + status.ahead_voided, status.fallbacks) == (9, 0)


def test_pauses_about_as_long_as_the_kernel_stays(model: Path, opencl: str) -> None:
    with load(model, plan="mixed", **MAILBOX) as session:
        for seed in range(60):
            assert_right(session, seed)
            time.sleep(0.003 + 0.0001 * (seed % 30))
        assert session.status().fallbacks == 0


def test_sessions_take_turns(model: Path, opencl: str) -> None:
    others = [{"tier": "svm-ahead", "ahead": "on"}, MAILBOX, {"tier": "svm"}]
    sessions = [load(model, plan="rows", **way) for way in (MAILBOX, *others)]
    for seed in range(12):
        for session in sessions:
            assert_right(session, seed)
            assert_right(session, seed + 1)
    for session in sessions:
        assert session.status().fallbacks == 0
        session.close()


def test_tables_and_measurements_between(model: Path, opencl: str) -> None:
    with load(model, plan="mixed", **MAILBOX) as session:
        for seed, plan in enumerate(["rows", "cpu", "channels", "gpu", "cpu", "mixed"]):
            assert_right(session, seed)
            session.use_plan(plan)
            assert_right(session, seed)
            assert len(session.time_task(1, "gpu", reps=2)) == 2
            session.set_table(random_table(300 + seed))
            assert_right(session, seed)
            assert_right(session, seed + 1)
        assert session.status().fallbacks == 0


def test_numbers_of_epochs_and_gates_wrap_around(model: Path, opencl: str) -> None:
    for epoch_start in (2**32 - 20, 2**30 - 5):  # a gate's number has 30 bits
        with load(model, plan="mixed", epoch_start=epoch_start, **MAILBOX) as session:
            for seed in range(12):
                assert_right(session, seed)
            assert session.status().fallbacks == 0


def test_a_kernel_that_waits_does_not_hold_up_the_exit(
    script: Script, model: Path, opencl: str
) -> None:
    begin = time.monotonic()
    answer, stderr = script(
        f"""
        import standin
        from hetcomp.runtime import load
        session = load({str(model)!r}, plan="rows", **{MAILBOX!r})
        for seed in range(3):
            session.run(standin.feeds(seed))
        answer = session.status().fallbacks
        """
    )
    assert (answer, stderr) == (0, "")
    assert time.monotonic() - begin < 20.0


def test_a_flag_must_allow_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HETCOMP_EXPERIMENTAL", raising=False)
    with pytest.raises(InputError, match=r'"mailbox" is experimental.*HETCOMP_EXPERIMENTAL=1'):
        load(model, tier="mailbox")
    monkeypatch.setenv("HETCOMP_EXPERIMENTAL", "0")
    with pytest.raises(InputError, match="is experimental"):
        load(model, tier="mailbox")
    monkeypatch.setenv("HETCOMP_EXPERIMENTAL", "yes")
    with pytest.raises(InputError, match='expected 1 or 0, got "yes"'):
        load(model)


def test_the_environment_allows_it_but_auto_never_takes_it(
    model: Path, opencl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HETCOMP_EXPERIMENTAL", "1")
    with load(model, plan="rows") as session:
        status = session.status()
    assert (status.tier, dict(status.refused_tiers)) == ("svm-ahead", {})
    with load(model, plan="rows", tier="mailbox") as session:
        assert session.status().tier == "mailbox"


@pytest.mark.parametrize(
    ("option", "why"), [({"chain": "off"}, "cannot run all"), ({"memory": "buffer"}, "memory is")]
)
def test_where_it_cannot_be_the_cpu_runs(model: Path, opencl: str, option: dict, why: str) -> None:
    with load(model, plan="rows", quiet=True, **option, **MAILBOX) as session:
        assert_right(session, 1)
        status = session.status()
    assert status.tier == "cpu"
    assert "tier mailbox: " in status.why_no_gpu
    assert why in status.why_no_gpu
    assert not status.device_bad
