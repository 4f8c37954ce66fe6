"""`compile --profile`: tasks are predicted, plans are measured, other devices are refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import hetcomp
from hetcomp.bench import zoo
from hetcomp.cli import main
from hetcomp.cli.explain_plans import simulate_plans
from hetcomp.cost.costs import SyncCost
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.profile_file import save_profile
from hetcomp.devices import describe_devices, fingerprint
from hetcomp.errors import InputError, PlanError, ProfileError
from hetcomp.goal import Goal
from hetcomp.options import CompileOptions
from hetcomp.runtime import read_image

NETWORK = zoo.build("bert_tiny", size=16)
LIMITS = {
    f"{processor}.{name}": value
    for processor in ("cpu", "gpu")
    for name, value in (
        ("flops_per_us", 1e5), ("bytes_per_us", 1e4), ("near_bytes_per_us", 1e5),
    )
}  # fmt: skip


def profile() -> DeviceProfile:
    device = fingerprint(describe_devices(), pinned=True)
    slow_down = {"cpu.compute": 1.2, "gpu.compute": 1.1, "cpu.memory": 1.3, "gpu.memory": 1.4}
    sync = {"svm-ahead": SyncCost(split_us=2.0)}
    return DeviceProfile(device, {}, 0, sync, slow_down, LIMITS)


@pytest.mark.usefixtures("opencl")
def test_plans_are_made_by_the_profile_and_measured(tmp_path: Path) -> None:
    model = zoo.build("squeezenet", size=64)
    save_profile(profile(), tmp_path / "device.json")
    options = CompileOptions(profile=str(tmp_path / "device.json"), pin="on", measure_seconds=0.5)
    hetcomp.compile(model, output=tmp_path / "m.so", options=options)
    image = read_image(tmp_path / "m.so")
    candidates = image.build["candidates"]
    names = [candidate["plan"] for candidate in candidates]
    assert names[0] == "by profile"
    assert {"cpu", "gpu", "split"} <= set(names)
    assert "by whole tasks" not in names
    assert all(candidate["measured_us"] > 0.0 for candidate in candidates)
    explained = [simulation.makespan_us for simulation in simulate_plans(image)]
    assert explained == [plan.predicted_us for plan in image.plans]
    shown = CliRunner().invoke(main, ["explain", str(tmp_path / "m.so"), "--json"])
    task = json.loads(shown.stdout)["tasks"][0]
    assert task["cpu_range_us"][0] < task["cpu_us"] < task["cpu_range_us"][1]
    feeds = zoo.random_inputs(model)
    with hetcomp.load(tmp_path / "m.so", quiet=True) as auto:
        got = auto.run(feeds)
    with hetcomp.load(tmp_path / "m.so", plan="cpu", quiet=True) as cpu:
        expected = cpu.run(feeds)
    for name, want in expected.items():
        np.testing.assert_allclose(got[name], want, atol=1e-5 * np.abs(want).max(), rtol=0)


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize("goal", [Goal(gpu_cap=0.2), Goal("throughput")])
def test_a_goal_is_noted_with_what_was_measured(tmp_path: Path, goal: Goal) -> None:
    save_profile(profile(), tmp_path / "device.json")
    options = CompileOptions(
        profile=str(tmp_path / "device.json"), pin="on", goal=goal, measure_seconds=2.0
    )
    hetcomp.compile(zoo.build("bert_tiny"), output=tmp_path / "m.so", options=options)
    text = read_image(tmp_path / "m.so").build["auto"]
    assert text.startswith(f"planned for {goal.text}; ")
    assert "measured plans" in text
    over_cap = goal.gpu_cap < 1.0
    assert ("over the cap as measured: " in text and "gpu" in text) == over_cap


@pytest.mark.usefixtures("opencl")
def test_another_devices_profile_is_refused(tmp_path: Path) -> None:
    save_profile(dataclasses.replace(profile(), device="elsewhere"), tmp_path / "device.json")
    options = CompileOptions(profile=str(tmp_path / "device.json"), pin="on")
    with pytest.raises(ProfileError, match="elsewhere"):
        hetcomp.compile(NETWORK, output=tmp_path / "m.so", options=options)
    assert not (tmp_path / "m.so").exists()


@pytest.mark.usefixtures("opencl")
def test_other_pinning_is_refused(tmp_path: Path) -> None:
    save_profile(profile(), tmp_path / "device.json")
    options = CompileOptions(profile=str(tmp_path / "device.json"), pin="off")
    with pytest.raises(ProfileError, match="pinned to one core"):
        hetcomp.compile(NETWORK, output=tmp_path / "m.so", options=options)


def test_a_profile_of_no_use_is_said_and_refused_when_strict(tmp_path: Path) -> None:
    save_profile(profile(), tmp_path / "device.json")
    options = CompileOptions(profile=str(tmp_path / "device.json"), gpu=False)
    hetcomp.compile(NETWORK, output=tmp_path / "m.so", options=options)
    assert "was not used" in read_image(tmp_path / "m.so").build["auto"]
    with pytest.raises(PlanError, match=r"device\.json is of no use"):
        hetcomp.compile(
            NETWORK,
            output=tmp_path / "m.so",
            options=dataclasses.replace(options, strict=True),
        )


def test_a_missing_profile_is_refused_at_once(tmp_path: Path) -> None:
    options = CompileOptions(profile=str(tmp_path / "none.json"))
    with pytest.raises(ProfileError, match=r"none\.json"):
        hetcomp.compile(b"", output=tmp_path / "m.so", options=options)


def test_a_profile_is_for_plan_auto() -> None:
    with pytest.raises(InputError, match="plan auto, not 'cpu'"):
        CompileOptions(plan="cpu", profile="device.json")
