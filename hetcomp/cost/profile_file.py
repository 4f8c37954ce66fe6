"""Device profiles as files: JSON, compressed where the name ends in `.gz`."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import importlib.metadata
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hetcomp._version import __version__
from hetcomp.cost.costs import SyncCost
from hetcomp.cost.npu_model import NpuModel
from hetcomp.cost.profile import PROFILE_VERSION, TIME_DIGITS, DeviceProfile, KernelSample
from hetcomp.cost.work import KernelWork
from hetcomp.devices import machine_of
from hetcomp.errors import ProfileError
from hetcomp.files import atomic_path

__all__ = [
    "check_device",
    "check_machine",
    "check_replaceable",
    "load_profile",
    "sample_from_json",
    "sample_to_json",
    "save_profile",
    "versions",
]

_FORMAT = "hetcomp device profile"
_HEAD = json.dumps({"format": _FORMAT})[:-1].encode()
"""What files begin with."""


def save_profile(profile: DeviceProfile, path: str | os.PathLike[str]) -> None:
    """Write a profile, whole or not at all; raises OSError."""
    plain = {
        field.name: getattr(profile, field.name)
        for field in dataclasses.fields(profile)
        if field.name not in ("sync", "samples", "npu")
    }
    data = {
        "format": _FORMAT,
        **plain,
        "sync": {tier: dataclasses.asdict(cost) for tier, cost in profile.sync.items()},
        "npu": {driver: model.to_json() for driver, model in profile.npu.items()},
        "samples": [sample_to_json(sample) for sample in profile.samples],
    }
    text = json.dumps(data).encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(text) if _compressed(path) else text)


def load_profile(path: str | os.PathLike[str], *, device: str | None = None) -> DeviceProfile:
    """Read a profile.

    Parameters
    ----------
    path
        File that `hetcomp profile` made.
    device
        Fingerprint that it must have, see `hetcomp.devices.fingerprint`; None takes any device's.

    Raises
    ------
    ProfileError
        The file is missing, damaged, of another version, or of another device.

    Examples
    --------
    >>> profile = load_profile("device.json")  # doctest: +SKIP
    >>> profile.sync["svm-ahead"].to_cpu_line_ns  # doctest: +SKIP
    7.1
    """
    data = _read(path)
    if data.get("format") != _FORMAT:
        raise ProfileError(f"{path} is not a device profile; hetcomp profile -o makes one")
    if data.get("version") != PROFILE_VERSION:
        raise ProfileError(
            f"{path} is a device profile of version {data.get('version')}, this hetcomp reads "
            f"{PROFILE_VERSION}: measure the device again with hetcomp profile"
        )
    try:
        profile = _profile(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProfileError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    if device is not None:
        check_device(profile, device, str(path))
    return profile


def check_device(profile: DeviceProfile, device: str, name: str) -> None:
    """Refuse a profile of another device, or of this one with its kernels pinned otherwise.

    Raises
    ------
    ProfileError
        It was measured elsewhere, or its times do not hold for a session that pins otherwise.
    """
    check_machine(profile, device, name)
    if profile.device == device:
        return
    if profile.device.startswith("pinned=1"):
        raise ProfileError(
            f"{name} was measured with the OpenCL device's kernels pinned to one core, this "
            "session does not pin them, so that its times do not hold: compile with "
            "CompileOptions(pin='on') and load with pin='on', or compile without a profile"
        )
    raise ProfileError(
        f"{name} was measured without pinning the OpenCL device's kernels to one core, this "
        "session pins them, so that its times do not hold: measure again with hetcomp profile, "
        "or compile with CompileOptions(pin='off') and load with pin='off'"
    )


def check_machine(profile: DeviceProfile, device: str, name: str) -> None:
    """Refuse a profile of another device, however its kernels were pinned, or of other kernels.

    Raises
    ------
    ProfileError
        It was measured elsewhere, or with another hetcomp or TVM.
    """
    _check_machine(profile.device, device, name)
    for what, version in versions().items():
        measured = profile.machine.get(what, version)
        if measured != version:
            raise ProfileError(
                f"{name} was measured with {what} {measured}, this is {what} {version}, whose "
                "kernels may take other times: measure the device again with hetcomp profile"
            )


def check_replaceable(path: str | os.PathLike[str], device: str) -> None:
    """Refuse to write over what is not a profile of `device`, of any version, however pinned.

    Raises
    ------
    ProfileError
        The file is something else, or another device's profile.
    """
    try:
        data = _read(path)
    except ProfileError:
        if _head(path) == _HEAD:
            return  # a damaged profile
        raise
    if data.get("format") != _FORMAT:
        raise ProfileError(f"{path} is not a device profile and is left alone; give another -o")
    _check_machine(str(data.get("device", device)), device, str(path))


def versions() -> dict[str, str]:
    """Of what generates the kernels, as a profile keeps them among the facts on its machine."""
    return {"hetcomp": __version__, "tvm": importlib.metadata.version("apache-tvm")}


def sample_to_json(sample: KernelSample) -> dict[str, Any]:
    """Plain data for `json.dumps`."""
    times = [round(time_us, TIME_DIGITS) for time_us in sample.times_us]
    data = {"work": dataclasses.asdict(sample.work), "times_us": times, "group": sample.group}
    return data if sample.steady_us is None else {**data, "steady_us": sample.steady_us}


def sample_from_json(data: Mapping[str, Any]) -> KernelSample:
    """Inverse of `sample_to_json`; raises KeyError, TypeError or ValueError."""
    times = tuple(float(time_us) for time_us in data["times_us"])
    steady = data.get("steady_us")
    return KernelSample(
        KernelWork(**data["work"]),
        times,
        str(data["group"]),
        None if steady is None else float(steady),
    )


def _profile(data: Mapping[str, Any]) -> DeviceProfile:
    return DeviceProfile(
        device=str(data["device"]),
        machine=dict(data["machine"]),
        seed=int(data["seed"]),
        sync={tier: _sync(tier, fields) for tier, fields in data["sync"].items()},
        slow_down=_numbers(data["slow_down"].items()),
        limits=_numbers(data["limits"].items()),
        samples=tuple(map(sample_from_json, data["samples"])),
        models=dict(data["models"]),
        errors=dict(data["errors"]),
        npu={name: NpuModel.from_json(model) for name, model in data.get("npu", {}).items()},
    )


def _sync(tier: str, costs: Mapping[str, Any]) -> SyncCost:
    """All costs of a tier: one that is missing would be taken for the usual one."""
    known = {field.name for field in dataclasses.fields(SyncCost)}
    if missing := sorted(known - set(costs)):
        raise ValueError(f"tier '{tier}' has no {', '.join(missing)}")
    return SyncCost(**costs)


def _numbers(items: Iterable[tuple[str, Any]]) -> dict[str, float]:
    return {key: float(value) for key, value in items}


def _check_machine(found: str, device: str, name: str) -> None:
    if machine_of(found) != machine_of(device):
        raise ProfileError(
            f"{name} was measured on another device: it has '{found}', this is '{device}'; "
            "measure this one with hetcomp profile"
        )


def _head(path: str | os.PathLike[str]) -> bytes:
    """The first bytes of a file, empty where it cannot be read."""
    with contextlib.suppress(OSError, EOFError, zlib.error), Path(path).open("rb") as file:
        return (gzip.open(file) if _compressed(path) else file).read(len(_HEAD))
    return b""


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        raw = Path(path).read_bytes()
        data = json.loads(gzip.decompress(raw) if _compressed(path) else raw)
    except OSError as error:
        raise ProfileError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, RecursionError, zlib.error) as error:
        raise ProfileError(f"{path} is damaged: {error}") from error
    if not isinstance(data, dict):
        raise ProfileError(f"{path} is not a device profile: it holds no JSON object")
    return data


def _compressed(path: str | os.PathLike[str]) -> bool:
    return os.fspath(path).endswith(".gz")
