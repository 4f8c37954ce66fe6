"""Plans side by side, and their timelines, on a model made by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hetcomp.cli.explain_plans import (
    compare,
    is_pipelined,
    print_candidates,
    print_comparison,
    simulate_pipeline,
    simulate_plans,
    write_timelines,
)
from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.errors import InputError
from hetcomp.plan.contention import Contention
from hetcomp.plan.graph import Grid, Kernel, Space, Task, TaskGraph, Tensor
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import fixed_split, single
from hetcomp.plan.simulate import Simulator, measured_times
from hetcomp.plan.simulation_note import note_of
from hetcomp.plan.steps import make_table
from hetcomp.runtime.image import Image
from hetcomp.runtime.records import RunProfile, StepTimes


def _graph() -> TaskGraph:
    tensors = tuple(Tensor(f"t{i}", (1024,), "float32", 4096, Space.ARENA) for i in range(3))
    kernel = Kernel("k", 2, True, "", "key")
    tasks = tuple(
        Task(f"<task{i}>", "conv2d", 0, (i,), (i + 1,), Grid(8), Grid(1), "rows", "")
        for i in range(2)
    )
    return TaskGraph("net", tensors, (kernel,), tasks, (0,), (2,), 0)


def _image(costs: Costs | None) -> Image:
    graph = _graph()
    plans = (
        fixed_split(graph, costs=costs),
        single(graph, Place.CPU, costs),
        single(graph, Place.GPU, costs),
    )
    tables = tuple(make_table(graph, plan) for plan in plans)
    return Image("1", "host", graph, plans, tables, {})


TIMES = Costs((TaskCost(1000.0, 900.0), TaskCost(500.0, 600.0)))


def test_plans_are_compared_by_the_times_in_the_file() -> None:
    image = _image(TIMES)
    rows = compare(image, simulate_plans(image), {})
    assert [row.plan for row in rows] == ["split", "cpu", "gpu"]
    assert rows[1].predicted_us == pytest.approx(1500.0)
    assert (rows[1].cpu_steps, rows[1].gpu_steps, rows[1].cpu_wait_us) == (2, 0, 0.0)
    assert rows[0].predicted_us == pytest.approx(800.0, rel=0.1)
    assert rows[0].cpu_busy_us + rows[0].cpu_wait_us < rows[0].predicted_us


def test_a_pipeline_runs_whole_inferences_side_by_side() -> None:
    image = _image(TIMES)
    gpu_us = next(run.makespan_us for run in simulate_plans(image) if run.plan == "gpu")
    found = simulate_pipeline(image)
    assert found == pytest.approx(1.0 / (1.0 / 1500.0 + 1.0 / gpu_us))
    simulator = Simulator(image.graph, measured_times(image.graph, TIMES, SyncCost()), SyncCost())
    for table in image.tables:
        simulator.run(table)
    note = {**note_of(simulator), "contention": {"cpu": (2.0, 2.0), "gpu": (1.0, 1.0)}}
    slowed = simulate_pipeline(replace(image, build={"simulation": note}))
    assert slowed == pytest.approx(1.0 / (1.0 / 3000.0 + 1.0 / gpu_us))
    assert simulate_pipeline(_image(None)) is None
    assert is_pipelined(replace(image, build={"objective": "throughput"}))


def test_plans_are_predicted_as_when_compiling() -> None:
    image = _image(TIMES)
    sync, contention = SyncCost(split_us=9.0, wake_us=40.0), Contention((1.3, 1.1), (1.2, 1.4))
    simulator = Simulator(image.graph, measured_times(image.graph, TIMES, sync), sync, contention)
    then = tuple(map(simulator.run, image.tables))
    note = json.loads(json.dumps(note_of(simulator)))
    assert simulate_plans(replace(image, build={"simulation": note})) == then
    assert simulate_plans(image) != then


def test_what_was_measured_is_shown_without_times_too(capsys: pytest.CaptureFixture[str]) -> None:
    image = _image(None)
    runs = {"cpu": RunProfile(1600.0, (), (), ()), "split": RunProfile(900.0, (), (), ())}
    rows = compare(image, (), runs)
    assert [(row.plan, row.predicted_us, row.measured_us) for row in rows] == [
        ("split", None, 900.0), ("cpu", None, 1600.0), ("gpu", None, None),
    ]  # fmt: skip
    assert (rows[0].cpu_steps, rows[0].gpu_steps, rows[0].cpu_busy_us) == (2, 2, None)
    print_comparison(rows)
    assert "0.900" in capsys.readouterr().out


def test_without_times_there_is_no_comparison(tmp_path: Path) -> None:
    image = _image(None)
    assert compare(image, simulate_plans(image), {}) == ()
    with pytest.raises(InputError, match="no times are known"):
        write_timelines(tmp_path / "x.html", image, (), {})


def test_candidates_show_prediction_and_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    record = {
        "plan": "by times",
        "predicted_us": 1500.0,
        "measured_us": 1640.0,
        "ratio_to_best_single": 0.6214,
        "ratio_is_measured": True,
        "calm_rounds": 7,
        "rounds": 9,
    }
    print_candidates([record])
    row = next(line for line in capsys.readouterr().out.splitlines() if "by times" in line)
    assert row.split() == [*("by", "times", "1.500", "1.640", "0.621"), "measured", "7", "of", "9"]


def test_timelines_show_what_was_predicted_and_measured(tmp_path: Path) -> None:
    image = _image(TIMES)
    cpu = (StepTimes(0.0, 500.0, 0.0), StepTimes(510.0, 800.0, 10.0))
    run = RunProfile(810.0, cpu, (-1.0, 805.0), (False, True))
    path = tmp_path / "plans.html"
    write_timelines(path, image, simulate_plans(image), {"split": run})
    page = path.read_text()
    lanes = re.findall(r"<text x=\"0\" y=\"\d+\">(\w+: \w+ \w+)</text>", page)
    assert lanes == [
        "split: cpu predicted", "split: gpu predicted",
        "split: cpu measured", "split: gpu measured",
        "cpu: cpu predicted", "gpu: gpu predicted",
    ]  # fmt: skip
    assert "&lt;task0&gt; (conv2d): 0.0 to 500.0 µs" in page
    assert "(conv2d): 500.0 to 805.0 µs" in page  # released by the CPU's first step
    assert page.count("<rect") == 4 + 4 + 2 + 2
