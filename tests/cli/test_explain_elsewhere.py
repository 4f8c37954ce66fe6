"""`explain --profile`: the whole answer is another device's, as is the plan that it makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hetcomp
from hetcomp.bench import zoo
from hetcomp.cli import main
from hetcomp.cli.explain_elsewhere import PLANNED
from hetcomp.cost.costs import SyncCost
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.profile_file import save_profile
from hetcomp.options import CompileOptions
from hetcomp.plan.io import read_plan
from hetcomp.runtime import read_image

LIMITS = {
    "cpu.flops_per_us": 1e4, "cpu.bytes_per_us": 1e3, "cpu.near_bytes_per_us": 1e4,
    "gpu.flops_per_us": 4e4, "gpu.bytes_per_us": 4e3, "gpu.near_bytes_per_us": 4e4,
}  # fmt: skip
"""A GPU that is four times as fast as the CPU."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elsewhere") / "m.so"
    options = CompileOptions(plan="split")
    hetcomp.compile(zoo.build("squeezenet", size=64), output=path, options=options)
    return path


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "other.json"
    sync = {"svm-ahead": SyncCost(), "finish": SyncCost(split_us=1e6, ahead=False)}
    save_profile(DeviceProfile("another phone", {}, 0, sync, limits=LIMITS), path)
    return path


def explain(model: Path, *arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["explain", str(model), "--json", *arguments])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_times_ranges_and_reasons_are_the_other_devices(model: Path, profile: Path) -> None:
    here, there = explain(model), explain(model, "--profile", str(profile))
    assert (here["profile"], there["profile"]) == (
        None, {"device": "another phone", "tier": "svm-ahead"},
    )  # fmt: skip
    assert here["plans"] == there["plans"]
    alone = {row["plan"]: row["predicted_us"] for row in there["comparison"]}
    assert there["pipeline"]["predicted_us"] < min(alone["cpu"], alone["gpu"])
    assert not there["pipeline"]["is_auto"]
    assert there["plan"] == PLANNED
    for task in there["tasks"]:
        assert task["cpu_range_us"][0] < task["cpu_us"] < task["cpu_range_us"][1]
        assert task["gpu_us"] < task["cpu_us"]
        assert task["predicted_us"] > 0.0
    assert any("cpu" in task["reason"] for task in there["tasks"])


def test_a_plan_for_that_device_is_compared_and_written(
    model: Path, profile: Path, tmp_path: Path
) -> None:
    out = tmp_path / "plan.json"
    there = explain(model, "--profile", str(profile), "--plan-out", str(out))
    rows = {row["plan"]: row["predicted_us"] for row in there["comparison"]}
    assert set(rows) == {PLANNED, *there["plans"]}
    assert rows[PLANNED] == min(rows.values()) == there["predicted_us"]
    assert all(row["measured_us"] is None for row in there["comparison"])
    shares = [task["cpu_share"] for task in there["tasks"]]
    assert sum(shares) < 0.4 * len(shares)
    written = read_plan(out)
    tasks = {task.name for task in read_image(model).graph.tasks}
    assert {decision.task for decision in written.decisions} == tasks


def test_the_tier_decides_whether_splitting_pays(model: Path, profile: Path) -> None:
    fast, slow = (
        explain(model, "--profile", str(profile), "--tier", tier)["places"].get("split", 0)
        for tier in ("svm-ahead", "finish")
    )
    assert slow <= 1 < fast  # the first task waits for nobody


def test_the_text_says_what_the_times_are(model: Path, profile: Path) -> None:
    result = CliRunner().invoke(main, ["explain", str(model), "--profile", str(profile)])
    assert result.exit_code == 0
    assert "predicted for another phone, tier svm-ahead; the kernels are those in" in result.stdout
    assert f"plan {PLANNED}" in result.stdout
