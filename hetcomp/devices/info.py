"""What is known of a processor."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hetcomp.devices.verdict import Verdict

__all__ = ["CacheInfo", "CpuInfo", "DeviceInfo", "OpenClInfo"]


@dataclass(frozen=True)
class CacheInfo:
    """One cache of core 0: level, `data`/`instruction`/`unified`, and size in bytes."""

    level: int
    kind: str
    size_bytes: int


@dataclass(frozen=True)
class CpuInfo:
    """The host's CPU.

    Attributes
    ----------
    machine
        Architecture as `uname -m` gives it.
    cores
        Logical cores of the machine.
    usable_cores
        Logical cores that this process may use.
    features
        Those instruction-set features that matter for kernels.
    caches
        Caches of core 0.
    """

    machine: str
    cores: int
    usable_cores: tuple[int, ...]
    features: tuple[str, ...]
    caches: tuple[CacheInfo, ...]


@dataclass(frozen=True)
class OpenClInfo:
    """One OpenCL device.

    Attributes
    ----------
    platform, version, c_version, driver
        As the device reports them.
    kind
        `gpu`, `cpu`, `accelerator` or `other`.
    svm
        Capabilities of shared virtual memory: `coarse-grain-buffer`, `fine-grain-buffer`,
        `fine-grain-system`, `atomics`.
    tier
        How the runtime would co-execute with it, if its probe at start-up finds that what the
        device says is true: see `hetcomp.runtime.SessionStatus`.
    compute_units, max_sub_devices, memory_bytes
        Sizes; `max_sub_devices` is 0 where the device cannot be divided.
    vendor
        As the device reports it.
    max_group_items, local_bytes
        Work-items and local memory of the largest work-group.
    sub_group
        Preferred multiple of a work-group's items; 0 where the device does not say (OpenCL 2).
    vector_width
        float32 elements of the vector that the device prefers.
    f16
        Whether it computes in float16.
    """

    platform: str
    version: str
    c_version: str
    driver: str
    kind: str
    svm: tuple[str, ...]
    tier: str
    compute_units: int
    max_sub_devices: int
    memory_bytes: int
    vendor: str = ""
    max_group_items: int = 1
    local_bytes: int = 0
    sub_group: int = 0
    vector_width: int = 1
    f16: bool = False

    @property
    def device_class(self) -> str:
        """`cpu-like`: one work-item a register tile; `gpu`: work-items that share one."""
        return "cpu-like" if self.kind == "cpu" else "gpu"


@dataclass(frozen=True)
class DeviceInfo:
    """A processor, whether this version uses it, and the details of its kind.

    Attributes
    ----------
    kind
        `cpu`, `opencl` or `npu`.
    name
        Its own name; what was looked for, where nothing was found.
    verdict
        Whether this version of hetcomp uses it, with the reason.
    advice
        What to install or change where it is not used; empty where nothing helps.
    """

    kind: str
    name: str
    verdict: Verdict
    advice: str = ""
    cpu: CpuInfo | None = None
    opencl: OpenClInfo | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`; details of other kinds of device are left out."""
        data = asdict(self)
        return {key: value for key, value in data.items() if value is not None}
