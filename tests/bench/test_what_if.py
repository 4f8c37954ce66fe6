"""What a split would gain on an RK3399, from the times of operators in TVM's tuning logs.

The excerpt has 13 of 220 operators (logs of tlc-pack/tophub, joined by workload, rounded); figures
of the whole file are those in the literature survey of this project, of ideal linear splits.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from click.testing import CliRunner

from hetcomp.bench.what_if import what_if
from hetcomp.cli import main
from hetcomp.cost.costs import Costs, TaskCost
from hetcomp.cost.operator_times import OperatorTimes, load_any_profile
from hetcomp.errors import ProfileError

ROOT = Path(__file__).resolve().parents[2]
EXCERPT = ROOT / "tests" / "data" / "rk3399_excerpt.json"
OVERHEADS = (0.0, 7.0, 50.0, 162.0, 1000.0)


def _loaded(path: Path) -> OperatorTimes:
    found = load_any_profile(path)
    assert isinstance(found, OperatorTimes)
    return found


def test_the_excerpt_agrees_with_the_formula() -> None:
    rows = what_if(_loaded(EXCERPT), OVERHEADS)
    operators = json.loads(EXCERPT.read_text())
    for row in rows:
        expected = []
        for item in operators:
            cpu, gpu = item["cpu_us"], item["gpu_us"]
            split = cpu * gpu / (cpu + gpu) + row.overhead_us
            expected.append(min(cpu, gpu) / min(cpu, gpu, split))
        assert row.speedup_median == pytest.approx(median(expected), rel=2e-3)
        assert row.gaining == sum(speedup > 1.0 for speedup in expected)
        assert row.operators == 13


def test_the_whole_file_gives_the_published_figures() -> None:
    shared = Path(os.environ.get("HETCOMP_SHARED", ROOT.parent / "shared"))
    path = shared / "data" / "rk3399_cpu_gpu_ops.json"
    if not path.is_file():
        pytest.skip(f"{path} is not here; HETCOMP_SHARED names the folder")
    rows = what_if(_loaded(path), OVERHEADS)
    assert [round(row.speedup_median, 2) for row in rows] == [1.72, 1.71, 1.65, 1.52, 1.0]
    gaining = [round(100 * row.gaining / row.operators) for row in rows]
    assert gaining == [100, 100, 97, 85, 43]


def test_a_processor_that_is_far_slower_adds_nothing() -> None:
    times = OperatorTimes(("conv",), Costs((TaskCost(10.0, 1e6),)))
    (row,) = what_if(times, (5.0,))
    assert (row.gaining, row.speedup_median) == (0, 1.0)


def test_the_command_answers_in_both_forms() -> None:
    runner = CliRunner()
    arguments = ["bench", "planner", "--profile", str(EXCERPT), "--overheads", "0,1000"]
    table = runner.invoke(main, arguments)
    assert table.exit_code == 0, table.output
    assert "1.76x" in table.output
    assert "38%" in table.output
    data = json.loads(runner.invoke(main, [*arguments, "--json"]).output)
    assert [row["gaining"] for row in data["rows"]] == [13, 5]


@pytest.mark.parametrize("overheads", ["", "1,x", "-1", "inf"])
def test_overheads_are_checked(overheads: str) -> None:
    arguments = ["bench", "planner", "--profile", str(EXCERPT), "--overheads", overheads]
    assert CliRunner().invoke(main, arguments).exit_code == 2


@pytest.mark.parametrize("option", [["--layers", "64"], ["--tier", "svm-ahead"], ["--quick"]])
def test_options_of_measuring_are_refused(option: list[str]) -> None:
    arguments = ["bench", "planner", "--profile", str(EXCERPT), *option]
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 2
    assert f"{option[0]}: nothing is measured" in found.output


def test_overheads_want_operators_times() -> None:
    found = CliRunner().invoke(main, ["bench", "planner", "--overheads", "5"])
    assert found.exit_code == 2
    assert "--overheads: needs a list" in found.output


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "empty list"),
        ('[{"key": ["conv"], "cpu_us": 1}]', "not of operators"),
        ('[{"key": ["conv"], "cpu_us": 1, "gpu_us": -1}]', "not a positive number"),
        ("[1]", "not of operators"),
        ("{}", "not a device profile"),
        ("[", "damaged"),
    ],
)
def test_files_of_neither_kind_are_refused(tmp_path: Path, content: str, says: Any) -> None:
    path = tmp_path / "profile.json"
    path.write_text(content)
    with pytest.raises(ProfileError, match=says):
        load_any_profile(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="cannot read"):
        load_any_profile(tmp_path / "none.json")
