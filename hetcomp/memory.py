"""Memory of this process: its largest size, and what it can give back."""

from __future__ import annotations

import ctypes
from pathlib import Path

__all__ = ["give_back", "peak_bytes"]


def peak_bytes() -> int | None:
    """Largest resident set in bytes, mapped files included; None where the system does not say.

    Not `ru_maxrss`, which counts what the parent had before this program was executed.
    """
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    sizes = (line.split() for line in text.splitlines() if line.startswith("VmHWM:"))
    return next((int(size) << 10 for _, size, _ in sizes), None)


def give_back() -> None:
    """Return freed memory to the system, where the C library knows how.

    After packing ResNet-50's weights and after compiling its kernels that is 30 MB each.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
