"""Copies between the CPU's memory and each kind of memory that the device has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hetcomp.cost.costs import LINE_BYTES
from hetcomp.cost.samples import undisturbed
from hetcomp.exclusive import exclusive
from hetcomp.runtime import Session

__all__ = ["copying_costs", "measure_copies"]

_SIZES = {"near": 256 << 10, "far": 64 << 20}
"""Bytes that fit a second-level cache twice, and many more than one holds."""
_REPS = {"near": 40, "far": 5}
_LINE_REPS = 60
_BYTES_PER_US = 1000.0
"""Of one GB/s."""


def measure_copies(session: Session, lock: Path | None) -> Mapping[str, float]:
    """By kind of memory: microseconds of a copy of one cache line (`fine.upload_us`), which is what
    mapping and commands cost, and GB/s of large ones with these costs (`fine.upload_near_gb_s`)."""
    found = {}
    with exclusive(lock):
        for memory, times in session.copies(LINE_BYTES, _LINE_REPS).items():
            found[f"{memory}.upload_us"] = undisturbed(times.upload_us)
            found[f"{memory}.download_us"] = undisturbed(times.download_us)
        for name, size in _SIZES.items():
            speed = size / _BYTES_PER_US
            for memory, times in session.copies(size, _REPS[name]).items():
                found[f"{memory}.upload_{name}_gb_s"] = speed / undisturbed(times.upload_us)
                found[f"{memory}.download_{name}_gb_s"] = speed / undisturbed(times.download_us)
    return found


def copying_costs(copies: Mapping[str, float]) -> dict[str, float]:
    """What taking over costs where it means to copy, by the names of `SyncCost`.

    Of the first kind of memory that the device has, which sessions use; empty where that is
    shared. Of the large copies those count that fit the caches, as tensors between tasks do.
    """
    memory = next(name for name in ("fine", "coarse", "buffer") if f"{name}.upload_us" in copies)
    if memory == "fine":
        return {}
    found = {}
    for side, way in (("cpu", "download"), ("gpu", "upload")):
        copy_us = copies[f"{memory}.{way}_us"]
        near_us = _SIZES["near"] / _BYTES_PER_US / copies[f"{memory}.{way}_near_gb_s"]
        lines = _SIZES["near"] / LINE_BYTES
        found[f"to_{side}_copy_us"] = copy_us
        found[f"to_{side}_line_ns"] = max(0.0, near_us - copy_us) * 1000.0 / lines
    return found
