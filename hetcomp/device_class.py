"""Which class of OpenCL kernels to generate, and the facts of the device they are for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hetcomp.devices import DeviceInfo, OpenClInfo, describe_opencl
from hetcomp.schedules.facts import GroupFacts

__all__ = ["find_groups", "find_local_bytes", "group_facts", "preferred"]

_RANKS = {"gpu": 0, "accelerator": 1, "other": 1, "cpu": 2}
"""The order in which the runtime takes devices (`runtime_patches/src/opencl/opencl_select.cc`)."""
_SUB_GROUPS = {"qualcomm": 64, "arm": 16, "intel": 16, "nvidia": 32, "advanced micro": 64}
"""Items that run in step, by vendor, where the device itself does not say (before OpenCL 3)."""
_FALLBACK_SUB_GROUP = 32
_MOST_ITEMS = 256
"""Larger work-groups leave an item fewer registers than a tile needs."""
_LEAST_LOCAL_BYTES = 16 << 10
_MOST_LOCAL_BYTES = 32 << 10
"""Of this, two work-groups fit a compute unit of every GPU."""


def find_groups(device_class: str, opencl_f16: str = "off") -> GroupFacts | None:
    """Facts of a device of class `gpu`, or None for kernels with one work-item a tile.

    Parameters
    ----------
    device_class, opencl_f16
        As in `CompileOptions`. Where this machine has no device, `gpu` takes the facts of a plain
        GPU, which multiplies float16.
    """
    if device_class == "cpu-like":
        return None
    device = preferred(describe_opencl())
    if device is None:
        facts = GroupFacts(f16=True) if device_class == "gpu" else None
    else:
        facts = group_facts(device) if "gpu" in (device_class, device.device_class) else None
    if facts is None or opencl_f16 == "auto":
        return facts
    return replace(facts, f16=opencl_f16 == "on")


def find_local_bytes() -> int:
    """Local memory of the OpenCL device that the runtime takes; 0 where there is none."""
    device = preferred(describe_opencl())
    return device.local_bytes if device is not None else 0


def group_facts(device: OpenClInfo) -> GroupFacts:
    """What kernels of class `gpu` need to know of `device`, within what every GPU can do."""
    vendor = device.vendor.lower()
    by_vendor = (size for name, size in _SUB_GROUPS.items() if name in vendor)
    local = device.local_bytes or _LEAST_LOCAL_BYTES
    items = max(1, min(_MOST_ITEMS, device.max_group_items))
    return GroupFacts(
        items=items,
        sub_group=min(items, device.sub_group or next(by_vendor, _FALLBACK_SUB_GROUP)),
        local_bytes=min(_MOST_LOCAL_BYTES, local),
        compute_units=max(1, device.compute_units),
        f16=device.f16,
    )


def preferred(devices: Iterable[DeviceInfo]) -> OpenClInfo | None:
    """The OpenCL device that the runtime takes; None where there is none."""
    found = [d.opencl for d in devices if d.verdict and d.opencl is not None]
    return min(found, key=lambda info: _RANKS[info.kind], default=None)
