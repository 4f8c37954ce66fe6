"""Whether a process on this machine may use AMX: what the kernel says of CPU and permission.

The runtime asks for the permission when it opens a model (`npu_amx_probe.cc`). Here it is only
asked what could be permitted, because a permission that was given cannot be given back.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable
from pathlib import Path

from hetcomp.devices.cpu import cpu_features

__all__ = ["BF16", "permitted_states", "why_no_amx"]

_FEATURES = ("amx_tile", "amx_int8")
BF16 = "amx_bf16"
"""What products of bfloat16 need beside."""
_TILE_DATA = 18
"""Number of the tiles' data among the states of a thread."""
_SYS_ARCH_PRCTL, _ARCH_GET_XCOMP_SUPP = 158, 0x1021


def permitted_states() -> int:
    """States that a process may ask for, one bit each.

    Raises
    ------
    OSError
        The kernel does not know the question.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    mask = ctypes.c_uint64(0)
    if libc.syscall(_SYS_ARCH_PRCTL, _ARCH_GET_XCOMP_SUPP, ctypes.byref(mask)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return mask.value


def why_no_amx(
    root: Path = Path("/"),
    machine: str | None = None,
    states: Callable[[], int] = permitted_states,
) -> str:
    """What is missing; empty where the driver `amx` should serve.

    Parameters
    ----------
    root
        Root of the file system to read.
    machine
        Kind of CPU; None is this one's.
    states
        Asks the kernel.
    """
    if (machine or platform.machine()) != "x86_64":
        return "AMX is for x86-64 CPUs"
    features = cpu_features(root)
    missing = [name for name in _FEATURES if name not in features]
    if missing:
        has = [name for name in (*_FEATURES, BF16) if name in features]
        but = f"{', '.join(has)}, but " if has else ""
        return f"/proc/cpuinfo has {but}no {', '.join(missing)}"
    try:
        permitted = states()
    except OSError as error:
        return f"the kernel refuses the permission for tiles of AMX: {error.strerror}"
    if not permitted >> _TILE_DATA & 1:
        return "the kernel gives no permission for tiles of AMX"
    return ""
