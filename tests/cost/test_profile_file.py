"""Device profiles as files: what is read is what was written, or one clear error."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from hetcomp.cost.costs import SyncCost
from hetcomp.cost.profile import DeviceProfile, KernelSample
from hetcomp.cost.profile_file import (
    check_device,
    check_machine,
    check_replaceable,
    load_profile,
    save_profile,
    versions,
)
from hetcomp.cost.work import KernelWork
from hetcomp.errors import ProfileError

WORK = KernelWork("conv2d", "direct", "cpu", 3, 2, 8, 4, {"flops": 1e6})
PROFILE = DeviceProfile(
    device="here",
    machine={"system": "any"},
    seed=7,
    sync={"svm-ahead": SyncCost(to_cpu_line_ns=6.5)},
    slow_down={"cpu.memory": 1.1},
    limits={"cpu.flops_per_us": 2e5},
    samples=(KernelSample(WORK, (10.5, 11.25), "some layer"),),
    models={"conv2d.cpu": "text"},
    errors={"conv2d.cpu": {"median": 0.04}},
)


@pytest.mark.parametrize("name", ["device.json", "device.json.gz"])
def test_a_profile_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    save_profile(PROFILE, tmp_path / name)
    assert load_profile(tmp_path / name, device="here") == PROFILE
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_another_device_is_refused(tmp_path: Path) -> None:
    save_profile(PROFILE, tmp_path / "p.json")
    with pytest.raises(ProfileError, match=r"has 'here', this is 'there'; measure this one"):
        load_profile(tmp_path / "p.json", device="there")


@pytest.mark.parametrize(
    ("measured", "session", "advice"),
    [(1, 0, r"kernels pinned to one core.*pin='on'"), (0, 1, r"without pinning.*pin='off'")],
)
def test_other_pinning_is_refused_by_name(measured: int, session: int, advice: str) -> None:
    profile = dataclasses.replace(PROFILE, device=f"pinned={measured}; cpu=any x4")
    check_device(profile, profile.device, "p.json")
    check_machine(profile, f"pinned={session}; cpu=any x4", "p.json")
    with pytest.raises(ProfileError, match=advice):
        check_device(profile, f"pinned={session}; cpu=any x4", "p.json")
    with pytest.raises(ProfileError, match="another device"):
        check_device(profile, f"pinned={measured}; cpu=any x8", "p.json")


def test_another_version_is_refused(tmp_path: Path) -> None:
    save_profile(dataclasses.replace(PROFILE, version=0), tmp_path / "p.json")
    with pytest.raises(ProfileError, match="version 0, this hetcomp reads"):
        load_profile(tmp_path / "p.json")


@pytest.mark.parametrize("what", ["hetcomp", "tvm"])
def test_another_compilers_kernels_are_refused(what: str) -> None:
    check_device(dataclasses.replace(PROFILE, machine=versions()), "here", "p.json")
    stale = dataclasses.replace(PROFILE, machine={**versions(), what: "0.0.1"})
    with pytest.raises(ProfileError, match=rf"p\.json was measured with {what} 0\.0\.1, this is"):
        check_device(stale, "here", "p.json")


def test_missing_costs_are_not_taken_for_the_usual_ones(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    save_profile(PROFILE, path)
    data = json.loads(path.read_text())
    del data["sync"]["svm-ahead"]["border_ns"]
    path.write_text(json.dumps(data))
    with pytest.raises(ProfileError, match="tier 'svm-ahead' has no border_ns"):
        load_profile(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "x"}', "\x00" * 40])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ProfileError, match=r"p\.json"):
        load_profile(path)
    packed = tmp_path / "p.json.gz"
    packed.write_text(text)
    with pytest.raises(ProfileError, match=r"p\.json\.gz"):
        load_profile(packed)


@pytest.mark.parametrize("field", ["device", "machine", "sync", "samples", "limits"])
def test_a_damaged_profile_is_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "p.json"
    save_profile(PROFILE, path)
    data = json.loads(path.read_text())
    data.pop(field)
    path.write_text(json.dumps(data))
    with pytest.raises(ProfileError, match="damaged"):
        load_profile(path)


def test_a_truncated_profile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.json.gz"
    save_profile(PROFILE, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ProfileError):
        load_profile(path)


def test_a_missing_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="No such file"):
        load_profile(tmp_path / "none.json")


@pytest.mark.parametrize("name", ["p.json", "p.json.gz"])
def test_a_profile_of_this_device_may_be_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_profile(dataclasses.replace(PROFILE, version=0), path)
    check_replaceable(path, "here")
    with pytest.raises(ProfileError, match="another device"):
        check_replaceable(path, "there")
    path.write_bytes(path.read_bytes()[:-20])
    check_replaceable(path, "here")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "x"}', "\x00" * 40])
def test_what_is_no_profile_may_not_be_replaced(tmp_path: Path, text: str) -> None:
    for name in ("p.json", "p.json.gz"):
        (tmp_path / name).write_text(text)
        with pytest.raises(ProfileError):
            check_replaceable(tmp_path / name, "here")
