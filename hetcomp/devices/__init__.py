"""What processors there are, what they can do, and why one cannot be used."""

from __future__ import annotations

from collections.abc import Iterable

from hetcomp.devices.board import describe_board
from hetcomp.devices.cpu import describe_cpu
from hetcomp.devices.info import CacheInfo, CpuInfo, DeviceInfo, OpenClInfo
from hetcomp.devices.npu import describe_npus
from hetcomp.devices.opencl import describe_opencl
from hetcomp.devices.verdict import Verdict
from hetcomp.remote import Remote

__all__ = [
    "CacheInfo",
    "CpuInfo",
    "DeviceInfo",
    "OpenClInfo",
    "Verdict",
    "describe_board",
    "describe_cpu",
    "describe_devices",
    "describe_npus",
    "describe_opencl",
    "fingerprint",
    "machine_of",
]


_PINNING = {False: "pinned=0", True: "pinned=1"}


def describe_devices(remote: Remote | None = None) -> tuple[DeviceInfo, ...]:
    """Describe the CPU, the OpenCL devices, and the NPU drivers, each with whether it is used, why.

    Takes up to 20 s where an OpenCL driver hangs; never hangs or crashes itself. With `remote`
    that board's, but for NPU drivers, which are used where they are.
    """
    if remote is not None:
        return describe_board(remote)
    return (describe_cpu(), *describe_opencl(), *describe_npus())


def fingerprint(devices: Iterable[DeviceInfo], *, pinned: bool) -> str:
    """Name the CPU, the OpenCL devices with their drivers, and the pinning, in one line.

    Measured times are valid where this is equal. `pinned` is what the measuring session's status
    says: a GPU's kernels are never pinned, those of an OpenCL device that is a CPU if asked for.
    """
    parts = [_PINNING[pinned]]
    for device in devices:
        if device.cpu is not None:
            cores = len(device.cpu.usable_cores)
            parts.append(f"cpu={device.name} x{cores} {device.cpu.machine}")
        if device.opencl is not None:
            parts.append(f"opencl={device.name} {device.opencl.driver} {device.opencl.version}")
    return "; ".join(parts)


def machine_of(device: str) -> str:
    """A fingerprint without the pinning."""
    pinning, _, machine = device.partition("; ")
    return machine if pinning in _PINNING.values() else device
