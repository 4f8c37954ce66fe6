"""Every way of waiting for each other gives NumPy's numbers, and ends where the device does not."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import standin
from fault_shim import build_shim
from fresh_process import Script, require_opencl
from test_results import GPU_PLANS, assert_equal, assert_right, random_table
from test_tickets import random_table as random_tickets
from test_tickets import table as ticket_table

from hetcomp.errors import InputError, InternalError
from hetcomp.plan.plan import Axis
from hetcomp.runtime import load

TIERS = ("svm-ahead", "svm", "event", "finish")
WAYS = (
    {"tier": "svm"},
    {"tier": "mailbox", "experimental": True},
    *({"tier": t, "memory": m} for t in ("event", "finish") for m in ("fine", "coarse", "buffer")),
)
"""Tiers with their kinds of memory; svm-ahead is what all other tests run."""
RUNS = 12


def _name(way: dict) -> str:
    return "-".join(value for value in way.values() if value is not True)


def _serves(model: Path, way: dict) -> dict:
    with load(model, plan="rows", quiet=True, **way) as session:
        require_opencl(session.status(), way["tier"])
    return way


@pytest.fixture(scope="module", params=WAYS, ids=_name)
def way(request: pytest.FixtureRequest, model: Path) -> dict:
    """Options for a way that the device has; skips where it lacks it."""
    return _serves(model, request.param)


@pytest.fixture(scope="module", params=["coarse", "buffer"])
def memory(request: pytest.FixtureRequest, model: Path) -> str:
    """Memory of the device's own."""
    return _serves(model, {"tier": "event", "memory": request.param})["memory"]


@pytest.mark.parametrize("plan", GPU_PLANS)
def test_every_run_equals_numpy(model: Path, way: dict, plan: str) -> None:
    with load(model, plan=plan, **way) as session:
        for seed in range(RUNS):
            assert_right(session, seed)
        status = session.status()
    assert (status.tier, status.plan, status.fallbacks) == (way["tier"], plan, 0)
    assert status.memory == way.get("memory", "fine")


def test_random_tables(model: Path, way: dict) -> None:
    with load(model, plan="rows", **way) as session:
        for case in range(8):
            session.set_table(random_table(100 + case))
            for seed in range(4):
                assert_right(session, seed)
        assert session.status().fallbacks == 0


def test_tickets(model: Path, way: dict) -> None:
    tables = [ticket_table(2), ticket_table(5), ticket_table(1, Axis.CHANNELS)]
    with load(model, plan="rows", **way) as session:
        for table in tables + [random_tickets(200 + case) for case in range(6)]:
            session.set_table(table)
            for seed in range(5):
                assert_right(session, seed)
        assert session.status().fallbacks == 0


@pytest.mark.parametrize(
    ("way", "fault"),
    [*((way, "wedge") for way in WAYS), *((WAYS[i], "enqueue") for i in (0, 1, 4))],
    indirect=["way"],
)
def test_a_device_that_fails(script: Script, model: Path, way: dict, fault: str) -> None:
    answer, stderr = script(
        f"""
        import time
        import numpy as np, standin
        from hetcomp.runtime import load
        session = load({str(model)!r}, plan="rows", fault={fault!r}, timeout_ms=200, **{way!r})
        begin, right = time.monotonic(), []
        for seed in range(5):
            feeds = standin.feeds(seed)
            right.append(bool(np.array_equal(
                session.run(feeds)["out"], standin.reference(**feeds)["out"])))
        status = session.status()
        answer = [all(right), time.monotonic() - begin, status.tier, status.fallbacks,
                  status.timeouts, status.device_bad]
        """
    )
    right, seconds, *rest = answer
    assert right
    assert seconds < 5.0
    assert rest == ["cpu", 1, 1 if fault == "wedge" else 0, True]
    assert stderr.count("hetcomp: ") == 1


def test_a_failing_kernel(model: Path, way: dict) -> None:
    with load(model, plan="rows", **way) as session:
        feeds = standin.feeds(3)
        for seed in range(3):
            poisoned = {**feeds, "y": feeds["y"].copy()}
            poisoned["y"][0, 0] = standin.POISON
            with suppress(InternalError):
                session.run(poisoned)
            assert_right(session, seed)
        assert session.status().fallbacks == 0


def test_measuring(model: Path, way: dict) -> None:
    with load(model, plan="gpu", **way) as session:
        run = session.profile(2).runs[1]
        assert run.gpu_end_us[-1] > 0.0
        assert run.total_us >= run.gpu_end_us[-1]
        assert min(session.time_task(1, "gpu", reps=3)) > 0.0
        assert_right(session, 1)


def test_sessions_of_several_tiers_share_a_device(model: Path, opencl: str) -> None:
    ways = [{"tier": "svm-ahead"}, *WAYS]
    sessions = [load(model, plan="mixed", ahead="on", **way) for way in ways]
    for seed in range(4):
        for session in sessions:
            assert_right(session, seed)
    for way, session in zip(ways, sessions, strict=True):
        assert (session.status().tier, session.status().fallbacks) == (way["tier"], 0)
        session.close()


def test_a_probe_takes_the_fastest(model: Path, opencl: str) -> None:
    with load(model, plan="rows") as session:
        status = session.status()
    assert (status.tier, status.memory, dict(status.refused_tiers)) == ("svm-ahead", "fine", {})


def test_flags_need_shared_memory(script: Script, model: Path, memory: str) -> None:
    answer, _ = script(
        f"""
        from hetcomp.runtime import load
        session = load({str(model)!r}, plan="rows", memory={memory!r})
        refused = load({str(model)!r}, plan="rows", memory={memory!r}, tier="svm", quiet=True)
        answer = [session.status().tier, session.status().refused_tiers,
                  refused.status().tier, refused.status().why_no_gpu]
        """
    )
    why = f"memory is {memory}"
    assert answer == ["event", {"svm-ahead": why, "svm": why}, "cpu", f"tier svm: {why}"]


@pytest.mark.parametrize("plan", ["gpu", "rows", "mixed"])
def test_a_driver_of_opencl_1(model: Path, tmp_path: Path, plan: str) -> None:
    """It lacks the functions of OpenCL 2; results are right all the same, over buffers."""
    library = build_shim(tmp_path, "-DOLD_OPENCL")
    with load(model, plan=plan, opencl_library=str(library)) as session:
        status = session.status()
        require_opencl(status, "event")
        assert status.memory == "buffer"
        assert status.device_version == "OpenCL 1.2 old"
        for seed in range(3):
            assert_right(session, seed)
        assert session.status().fallbacks == 0


def test_plans_can_be_changed_over(model: Path, memory: str) -> None:
    with load(model, memory=memory) as session:
        for seed, plan in enumerate(["cpu", "gpu", "rows", "cpu", "mixed", "channels"]):
            session.use_plan(plan)
            assert_right(session, seed)
        own = session.buffer("x")
        own[:] = standin.feeds(7)["x"]
        results = session.run({"x": own, "y": standin.feeds(7)["y"]})
        assert_equal(results, 7)


def test_tier_cpu_leaves_the_device_alone(script: Script, model: Path) -> None:
    answer, stderr = script(
        f"""
        from hetcomp.runtime import load
        status = load({str(model)!r}, plan="rows", tier="cpu").status()
        answer = [status.tier, status.plan, status.device, status.memory]
        """
    )
    assert answer == ["cpu", "cpu", "", ""]
    assert "hetcomp" not in stderr  # it was asked for


def test_the_environment_stands_in_for_the_argument(
    model: Path, opencl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HETCOMP_TIER", "event")
    assert load(model, plan="rows").status().tier == "event"
    assert load(model, plan="rows", tier="svm").status().tier == "svm"


def test_unknown_names(model: Path) -> None:
    with pytest.raises(InputError, match='"event", "finish", "cpu", got "fast"'):
        load(model, tier="fast")
    with pytest.raises(InputError, match='"fine", "coarse", "buffer", got "shared"'):
        load(model, memory="shared")
