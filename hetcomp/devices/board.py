"""A board's processors, by what its `hetcomp_rpc` tells of them."""

from __future__ import annotations

from typing import Any

from hetcomp.devices.cpu import known_features
from hetcomp.devices.info import CacheInfo, CpuInfo, DeviceInfo
from hetcomp.devices.opencl import devices_of
from hetcomp.devices.verdict import Verdict
from hetcomp.errors import InputError
from hetcomp.remote import Remote, ask_status

__all__ = ["describe_board"]


def describe_board(remote: Remote) -> tuple[DeviceInfo, ...]:
    """The CPU and the OpenCL devices of a board, as `describe_devices` describes this machine's.

    Raises
    ------
    LinkError
        It does not answer.
    InputError
        What answers is no server of this version.
    """
    device = ask_status(remote).device
    try:
        return _cpu(device["cpu"]), *devices_of(device["opencl"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{remote.text} describes itself wrongly: {error!r}") from error


def _cpu(data: dict[str, Any]) -> DeviceInfo:
    info = CpuInfo(
        machine=data["machine"],
        cores=int(data["cores"]),
        usable_cores=tuple(map(int, data["usable_cores"])),
        features=known_features(data["features"]),
        caches=tuple(CacheInfo(**cache) for cache in data["caches"]),
    )
    name = data["name"]
    if data["parts"]:
        name += f" ({', '.join(data['parts'])})"
    return DeviceInfo("cpu", name, Verdict(True, "runs every task"), cpu=info)
