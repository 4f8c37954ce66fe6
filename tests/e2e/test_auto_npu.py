"""Plan `auto` with an NPU: measured, compared with all else, and left out where it is slower."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from networks import assert_same

import hetcomp
from hetcomp import auto_contest, auto_npu, auto_plan
from hetcomp.bench import zoo
from hetcomp.cli import main
from hetcomp.cost.npu_cost import NpuCost, WayThere
from hetcomp.options import CompileOptions
from hetcomp.plan.check import can_share_with_npu, grid_of
from hetcomp.plan.cuts import cut_at
from hetcomp.plan.io import write_plan
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.table import StepTable
from hetcomp.profile.npu import profile_npu
from hetcomp.runtime import Session, read_image
from hetcomp.tune.calm import Round, TableTimes, TimedRun

TAKEN = 56
"""Tasks that the NPU takes: all."""
QUICK = CompileOptions(npu_driver="reference", measure_seconds=1.0, use_cache=False)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without OpenCL: CPU and NPU are to be compared whatever this machine has."""
    path = tmp_path_factory.mktemp("auto") / "trial.so"
    model = zoo.build("mobilenetv2", qdq=True, size=32, width=0.25)
    options = CompileOptions(plan="npu", gpu=False)
    hetcomp.compile(model, output=path, options=options)
    return path


def placed(trial: Path, **changes: Any) -> Placement:
    options = CompileOptions(
        **{"npu_driver": "reference", "gpu": False, "measure_seconds": 1.0, **changes}
    )
    return auto_plan.measured_placement(options, trial, lambda _text, _done: None, None)


def test_the_reference_is_left_out_and_auto_says_why(trial: Path) -> None:
    placement = placed(trial)
    assert all(decision.place is Place.CPU for decision in placement.plans[0].decisions)
    assert f"without the NPU: the {TAKEN}" in placement.notes["auto"]
    assert "tasks that driver reference takes need" in placement.notes["auto"]
    slow = [d for d in placement.plans[0].decisions if d.npu_us is not None]
    assert len(slow) == TAKEN
    assert all(d.npu_us > (d.cpu_us or 0.0) for d in slow if d.npu_us is not None)


def pretend(monkeypatch: pytest.MonkeyPatch, npu_us: float) -> None:
    """The NPU takes `npu_us` a task, and every plan what the CPU's 50 µs a task make of it."""

    def measured(session: Session, driver: str, progress: Any) -> NpuCost:
        taken = (npu_us if task.npu else None for task in session.graph.tasks)
        return NpuCost(driver, tuple(taken), WayThere(2.0, 2.0, 10.0, 0.1))

    def timed(
        session: Session, tables: Sequence[StepTable], *_: object, **__: object
    ) -> tuple[TableTimes, ...]:
        found = []
        for table in tables:
            session.set_table(table)
            regions = sum(npu_us * len(step.tasks) + 15.0 for step in table.npu)
            time_us = regions + 50.0 * sum(not step.npu for step in table.cpu)
            found.append(TableTimes(table.name, (Round((TimedRun(time_us, 0.0),)),) * 5))
        return tuple(found)

    monkeypatch.setattr(auto_npu, "measure_npu", measured)
    monkeypatch.setattr(auto_contest, "time_tables", timed)


def test_a_fast_npu_is_chosen(trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0.001)
    placement = placed(trial)
    auto = placement.plans[0]
    assert auto.name == "auto"
    assert sum(decision.place is Place.NPU for decision in auto.decisions) == TAKEN
    assert "without the NPU" not in placement.notes["auto"]
    assert {"cpu", "npu"} <= {plan.name for plan in placement.plans}


def test_an_npu_that_dies_while_it_is_measured_is_left_out(
    trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, 0.001)
    monkeypatch.setattr(Session, "status", _with_dead_npu(Session.status))
    placement = placed(trial)
    assert all(decision.place is Place.CPU for decision in placement.plans[0].decisions)
    assert "which failed while it was measured: it died" in placement.notes["auto"]


def _with_dead_npu(real: Any) -> Any:
    return lambda session: replace(real(session), why_no_npu="it died")


def test_strict_wants_the_npu_that_was_asked_for(
    trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_npu, "measure_npu", lambda *_: None)
    monkeypatch.setattr(Session, "status", _with_dead_npu(Session.status))
    with pytest.raises(hetcomp.PlanError, match="cannot use the NPU: it died"):
        placed(trial, strict=True, plan="auto", gpu=False)
    assert "without the NPU: it died" in placed(trial).notes["auto"]


def test_explain_shows_what_the_npu_would_take(tmp_path: Path) -> None:
    path = tmp_path / "auto.so"
    model = zoo.build("mobilenetv2", qdq=True, size=32, width=0.25)
    hetcomp.compile(model, output=path, options=QUICK)
    shown = CliRunner().invoke(main, ["explain", str(path), "--json"])
    data = json.loads(shown.output)
    assert "npu" not in data["places"]
    assert "without the NPU" in data["build"]["auto"]
    assert sum(task["npu_us"] is not None for task in data["tasks"]) == TAKEN
    rows = {row["plan"]: row for row in data["comparison"]}
    assert rows["npu"]["npu_steps"] > 0
    assert rows["npu"]["npu_busy_us"] > 10 * rows["cpu"]["cpu_busy_us"] > 0
    text = CliRunner().invoke(main, ["explain", str(path)]).output
    assert "npu µs" in text
    assert "npu busy ms" in text


def test_layers_on_the_reference_are_profiled() -> None:
    model = profile_npu("reference", 0, None)
    assert model.us_per_mmac > 0.0
    assert model.way.fixed_us > 0.0
    assert model.error_percent < 100.0


@pytest.mark.parametrize(("axis", "least"), [(Axis.ROWS, 20), (Axis.CHANNELS, 10)])
def test_a_plan_file_may_share_tasks_with_the_npu(
    axis: Axis, least: int, trial: Path, tmp_path: Path
) -> None:
    model = zoo.build("mobilenetv2", qdq=True, size=32, width=0.25)
    graph = read_image(trial).graph
    decisions = (
        Decision(task.name, Place.SPLIT, axis, cut_at(grid_of(task, axis), 0.5), partner=Place.NPU)
        if can_share_with_npu(graph, task, axis)
        else Decision(task.name, Place.CPU)
        for task in graph.tasks
    )
    write_plan(tmp_path / "plan.json", Plan("halves", tuple(decisions)))
    options = CompileOptions(plan=str(tmp_path / "plan.json"), npu_driver="reference", gpu=False)
    hetcomp.compile(model, output=tmp_path / "halves.so", options=options)
    feeds = zoo.random_inputs(model)
    with hetcomp.load(tmp_path / "halves.so") as session:
        by_both = session.run(feeds)
        assert session.status().npu_steps > least
        session.use_plan("cpu")
        by_cpu = session.run(feeds)
    assert_same(by_both, by_cpu)
    shown = CliRunner().invoke(main, ["explain", str(tmp_path / "halves.so")]).output
    assert f"split {axis.value} with npu" in shown
    data = json.loads(
        CliRunner().invoke(main, ["explain", str(tmp_path / "halves.so"), "--json"]).output
    )
    shared = [task for task in data["tasks"] if task["partner"] == "npu"]
    assert len(shared) > 20
    assert all(0.0 < task["cpu_share"] < 1.0 for task in shared)
