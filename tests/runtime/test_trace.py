"""The trace is what Chrome's viewer expects, and the averages are those of what ran."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import standin

from hetcomp.errors import InputError
from hetcomp.runtime import load

_LANES = {0: "inferences", 1: "CPU", 2: "OpenCL", 3: "NPU"}


def _traced(model: Path, plan: str, path: Path, runs: int = 3) -> dict[str, Any]:
    with load(model, plan=plan, trace=True) as session:
        for seed in range(runs):
            session.run(standin.feeds(seed))
        session.trace(path)
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def _spans(data: dict[str, Any], lane: int) -> list[dict[str, Any]]:
    return [e for e in data["traceEvents"] if e["ph"] == "X" and e["tid"] == lane]


@pytest.mark.parametrize("plan", ["cpu", "rows", "gpu"])
def test_every_step_is_in_the_trace(
    model: Path, plan: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if plan != "cpu":
        request.getfixturevalue("opencl")
    data = _traced(model, plan, tmp_path / "trace.json")
    names = {e["tid"]: e["args"]["name"] for e in data["traceEvents"] if e["ph"] == "M"}
    assert names == _LANES
    assert [e["name"] for e in _spans(data, 0)] == [plan] * 3
    steps = {lane: [e for e in _spans(data, lane) if e["name"] != "wait"] for lane in (1, 2)}
    counts = {"cpu": (24, 0), "rows": (24, 24), "gpu": (0, 24)}[plan]
    assert tuple(len(steps[lane]) for lane in (1, 2)) == counts
    for event in steps[1] + steps[2]:
        assert event["dur"] >= 0.0
        assert event["args"]["plan"] == plan
        assert event["args"]["bytes"] > 0
        assert event["args"]["tier"] == ("cpu" if plan == "cpu" else "svm-ahead")


@pytest.mark.parametrize("plan", ["rows", "gpu"])
def test_spans_of_a_lane_follow_each_other(
    model: Path, opencl: str, plan: str, tmp_path: Path
) -> None:
    data = _traced(model, plan, tmp_path / "trace.json", runs=20)
    for lane in _LANES:
        spans = sorted(_spans(data, lane), key=lambda event: event["ts"])
        for one, two in itertools.pairwise(spans):
            assert one["ts"] + one["dur"] <= two["ts"] + 0.001  # printed with four digits


def test_a_long_trace_keeps_the_last_steps(model: Path, tmp_path: Path) -> None:
    capacity, per_run = 1 << 16, 9
    runs = capacity // per_run + 100
    data = _traced(model, "cpu", tmp_path / "trace.json", runs)
    spans = [e for e in data["traceEvents"] if e["ph"] == "X" and e["name"] != "wait"]
    assert len(spans) == capacity
    times = [event["ts"] for event in _spans(data, 0)]
    assert times == sorted(times)
    assert len(times) == pytest.approx(capacity / per_run, abs=1)


def test_a_failure_is_marked(script, model: Path, opencl: str, tmp_path: Path) -> None:
    answer, _ = script(
        f"""
        import json, standin
        from hetcomp.runtime import load
        with load({str(model)!r}, plan="rows", trace=True, quiet=True, fault="enqueue") as session:
            for seed in range(2):
                session.run(standin.feeds(seed))
            session.trace({str(tmp_path / "t.json")!r})
            events = json.load(open({str(tmp_path / "t.json")!r}))["traceEvents"]
        answer = [[e["name"] for e in events if e["ph"] == "i"],
                  [e["name"] for e in events if e["ph"] == "X" and e["tid"] == 0]]
        """
    )
    marks, plans = answer
    assert len(marks) == 1
    assert "CL_OUT_OF_RESOURCES" in marks[0]
    assert plans == ["cpu", "cpu"]


def test_every_step_has_its_tier(model: Path, opencl: str, tmp_path: Path) -> None:
    """Of the inference, whatever the session does when the trace is written."""
    with load(model, plan="rows", trace=True) as session:
        session.run(standin.feeds(0))
        session.use_plan("cpu")
        session.run(standin.feeds(1))
        session.trace(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    tiers = {(e["args"]["plan"], e["args"]["tier"]) for e in events if "tier" in e.get("args", {})}
    assert tiers == {("rows", "svm-ahead"), ("cpu", "cpu")}


def test_no_trace_without_the_option(model: Path, tmp_path: Path) -> None:
    with (
        load(model, plan="cpu") as session,
        pytest.raises(InputError, match="open the model with trace"),
    ):
        session.trace(tmp_path / "trace.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("plan", ["cpu", "rows", "gpu"])
def test_stats(model: Path, plan: str, request: pytest.FixtureRequest) -> None:
    if plan != "cpu":
        request.getfixturevalue("opencl")
    with load(model, plan=plan) as session:
        assert session.stats().walks == 0
        for seed in range(30):
            session.run(standin.feeds(seed))
        stats = session.stats()
    assert (stats.plan, stats.runs, stats.walks, stats.fallbacks) == (plan, 30, 30, 0)
    counts = Counter(step.processor for step in stats.steps)
    assert counts == {"cpu": {"cpu": 8}, "rows": {"cpu": 8, "gpu": 8}, "gpu": {"gpu": 8}}[plan]
    cpu_us = sum(step.mean_us for step in stats.steps if step.processor == "cpu")
    assert all(step.count == 30 for step in stats.steps if step.processor == "cpu")
    assert stats.total_us > 0.0
    assert cpu_us + stats.cpu_wait_us == pytest.approx(stats.total_us, rel=0.01, abs=0.1)
    assert 0.0 <= stats.cpu_busy_share <= 1.0
    assert 0.0 <= stats.gpu_busy_share <= 1.0
    if plan == "cpu":
        assert stats.cpu_busy_share > 0.5


@pytest.mark.parametrize(("tier", "launches"), [("svm-ahead", 1), ("svm", 8)])
def test_stats_tell_the_longest_launch(model: Path, opencl: str, tier: str, launches: int) -> None:
    with load(model, plan="gpu", tier=tier) as session:
        for seed in range(30):
            session.run(standin.feeds(seed))
        stats, status = session.stats(), session.status()
    assert status.gpu_launches == launches
    busy_us = stats.gpu_busy_share * stats.total_us
    assert 0.5 * busy_us / launches < stats.longest_gpu_us < 1.5 * stats.total_us


def test_stats_show_predictions(model: Path) -> None:
    with load(model, plan="cpu") as session:
        table = next(t for t in session.image.tables if t.name == "cpu")
        steps = tuple(replace(step, predicted_us=1.0 + i) for i, step in enumerate(table.cpu))
        session.set_table(replace(table, name="timed", cpu=steps))
        session.run(standin.feeds(0))
        stats = session.stats()
    assert [step.predicted_us for step in stats.steps] == [1.0 + i for i in range(8)]
