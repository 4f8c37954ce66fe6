"""Families of mobile GPUs: what kernels of class `gpu` need to know where the device is not here.

From the vendors' OpenCL guides: Arm, "Mali GPU OpenCL Developer Guide" (warps of 4 to 16 threads,
local memory is ordinary memory); Qualcomm, "Snapdragon OpenCL General Programming and
Optimization" (waves of 64 or 128 items, 32 KiB of local memory). A wrong fact costs time, never the
result: the kernels ask for no more items and local memory than every GPU has.
"""

from __future__ import annotations

from hetcomp.errors import InputError
from hetcomp.schedules.facts import GroupFacts

from .compile_target import TargetGpu

__all__ = ["GPUS", "find_gpu"]

GPUS = {
    "gpu": TargetGpu("any GPU", GroupFacts(f16=True)),
    "mali": TargetGpu("Mali", GroupFacts(sub_group=16, compute_units=4, f16=True)),
    "adreno": TargetGpu("Adreno", GroupFacts(sub_group=64, compute_units=2, f16=True)),
    "cpu": TargetGpu("an OpenCL device that is a CPU"),
    "none": TargetGpu("none", why_none="the target has no OpenCL device"),
}
"""By the name that `--target ...,gpu=NAME` gives."""


def find_gpu(name: str) -> TargetGpu:
    """The family `name`.

    Raises
    ------
    InputError
        There is no such family.
    """
    if name not in GPUS:
        raise InputError(f"target: gpu '{name}' is unknown; known are {', '.join(GPUS)}")
    return GPUS[name]
