"""A session changes over when a processor seems slower, and every answer stays right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import standin

from hetcomp.errors import InputError
from hetcomp.plan.plan import Axis
from hetcomp.runtime import Session, load

_TILES = standin.ROW_GRID.extent


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables in which the CPU has half, a quarter, three quarters, nothing and everything."""
    shares = {"home": 6, "less-cpu": 3, "less-gpu": 9, "gpu": 0, "cpu": _TILES}
    tables = [
        standin.timed(standin.make_table(name, [standin.Placing(Axis.ROWS, cut)] * 8))
        for name, cut in shares.items()
    ]
    tables.append(standin.make_table("untimed", [standin.Placing(Axis.ROWS, 5)] * 8))
    return standin.build(tmp_path_factory.mktemp("ladder"), model_tables=tables)


def _check(session: Session, runs: int) -> list[str]:
    """Compare every answer with NumPy's; the plans that ran."""
    plans = []
    for seed in range(runs):
        feeds = standin.feeds(seed)
        expected = standin.reference(feeds["x"], feeds["y"])
        got = session.run(feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(got[name], array)
        plans.append(session.status().plan)
    return plans


@pytest.mark.parametrize(
    ("slow", "expected"),
    [((2.5, 1.0), "less-cpu"), ((1.0, 2.5), "less-gpu"), ((9.0, 1.0), "gpu"), ((1.0, 9.0), "cpu")],
)
def test_changes_over_and_back(
    ladder: Path, opencl: str, slow: tuple[float, float], expected: str, tmp_path: Path
) -> None:
    loads = [(0, 1.0, 1.0), (30, *slow), (80, 1.0, 1.0)]
    with load(ladder, pretended_load=loads, trace=True, pin="on") as session:
        plans = _check(session, 120)
        found = session.stats().adaptation
        status = session.status()
        session.trace(tmp_path / "trace.json")
    assert set(plans[:30]) == {"home"}
    assert plans[50:60].count(expected) >= 7  # trials of the home plan between
    assert set(plans[100:]) == {"home"}
    changes = [(one.from_plan, one.to_plan) for one in found.switches]
    assert changes == [("home", expected), (expected, "home")]
    assert 30 < found.switches[0].run <= 50
    assert 80 < found.switches[1].run <= 100
    assert "untimed" not in plans
    assert (status.requested_plan, status.fallbacks) == ("home", 0)
    events: list[dict[str, Any]] = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    marks = [event["name"] for event in events if event["ph"] == "i"]
    assert [mark.split(":")[0] for mark in marks] == [
        f"home -> {expected}",
        f"{expected} -> home",
    ]


def test_tickets_need_no_other_plan(opencl: str, tmp_path: Path) -> None:
    """Both end together whoever is slower: a share made for the slow-down is no faster."""
    cuts = {"home": 6, "less-cpu": 3, "gpu": 0, "cpu": _TILES}
    tables = [
        standin.make_table(name, [standin.Placing(Axis.ROWS, cut, 2 if name == "home" else 0)] * 8)
        for name, cut in cuts.items()
    ]
    model = standin.build(tmp_path, model_tables=list(map(standin.timed, tables)))
    with load(model, pretended_load=[(0, 1.0, 1.0), (20, 2.5, 1.0)]) as session:
        plans = _check(session, 80)
        found = session.stats().adaptation
    assert plans[-1] == "home"
    assert found.switches == ()
    assert found.cpu_slowdown == pytest.approx(2.5, rel=0.25)  # both look slower alike


def test_stats_tell_slow_downs(ladder: Path, opencl: str) -> None:
    with load(ladder, pretended_load=[(0, 1.0, 1.0), (10, 9.0, 1.0)]) as session:
        _check(session, 12)
        slow = session.stats().adaptation
        _check(session, 60)
        later = session.stats().adaptation
    assert slow.active
    assert slow.cpu_slowdown > 2.0
    assert later.cpu_slowdown == pytest.approx(9.0, rel=0.05)
    assert later.gpu_slowdown == pytest.approx(1.0, rel=0.05)
    assert later.trials > 2


@pytest.mark.parametrize(
    ("plan", "adapt", "active"),
    [
        (None, "auto", True),
        ("home", "auto", True),
        (None, "off", False),
        ("less-cpu", "auto", False),
        ("less-cpu", "on", True),
        ("untimed", "on", False),
        ("cpu", "on", False),  # the device sleeps, and nobody wakes it up
    ],
)
def test_who_adapts(ladder: Path, opencl: str, plan: str | None, adapt: str, active: bool) -> None:
    with load(ladder, plan=plan, adapt=adapt, pretended_load=[(0, 1.0, 9.0)]) as session:
        plans = _check(session, 40)
        assert session.stats().adaptation.active == active
    assert (len(set(plans)) > 1) == active


def test_a_plan_that_is_asked_for_stays(ladder: Path, opencl: str) -> None:
    with load(ladder, pretended_load=[(0, 1.0, 9.0)]) as session:
        _check(session, 40)
        assert session.status().plan == "cpu"
        session.use_plan("less-gpu")
        assert set(_check(session, 40)) == {"less-gpu"}
        session.use_plan("home")
        assert _check(session, 40)[-1] == "cpu"
        session.set_table(next(t for t in session.image.tables if t.name == "gpu"))
        assert set(_check(session, 40)) == {"gpu"}


def test_buffers_serve_every_plan(ladder: Path, opencl: str) -> None:
    with load(ladder, pretended_load=[(0, 1.0, 1.0), (10, 9.0, 1.0), (60, 1.0, 1.0)]) as session:
        _check(session, 45)
        buffers = {info.name: session.buffer(info.name) for info in session.inputs}
        for seed in range(60):
            feeds = standin.feeds(seed)
            for name, array in feeds.items():
                buffers[name][...] = array
            expected = standin.reference(feeds["x"], feeds["y"])
            got = session.run(buffers)
            np.testing.assert_array_equal(got["out"], expected["out"])
        assert session.status().plan == "home"


def test_a_failing_device_ends_adaptation(script, ladder: Path, opencl: str) -> None:
    answer, _ = script(
        f"""
        import numpy as np, standin
        from hetcomp.runtime import load
        loads = [(0, 1.0, 9.0)]
        with load({str(ladder)!r}, quiet=True, fault="enqueue", pretended_load=loads) as session:
            for seed in range(40):
                feeds = standin.feeds(seed)
                expected = standin.reference(feeds["x"], feeds["y"])["out"]
                np.testing.assert_array_equal(session.run(feeds)["out"], expected)
            answer = [session.status().plan, session.status().fallbacks,
                      session.stats().adaptation.active]
        """
    )
    assert answer == ["cpu", 1, False]


def test_bad_loads_are_refused(ladder: Path) -> None:
    with pytest.raises(InputError, match="adapt"):
        load(ladder, adapt="sometimes")
