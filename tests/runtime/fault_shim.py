"""What fails, and when: an OpenCL library and an allocator that do as they are told."""

from __future__ import annotations

import ctypes
import os
import subprocess
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

from hetcomp.codegen.toolchain import runtime_folder

__all__ = ["FOR_EVER", "KINDS", "TIMEOUT_MS", "Fault", "HostMemory", "Mode", "Shim"]
__all__ += ["build_allocator", "build_shim"]

FOR_EVER = 1 << 60
TIMEOUT_MS = 150.0
"""The sessions' limit for the device; a late call takes 1.5 times as long."""

_SUPPORT = Path(__file__).parents[1] / "support"


class Mode(IntEnum):
    """What becomes of a call, see faulty_opencl.cc; `HOST`: of an allocation of the runtime."""

    FORWARD = 0
    FAIL = 1
    DELAY = 2
    ODD_CODE = 3
    SKIP = 4
    NOISE = 5
    HOST = 6


@dataclass(frozen=True)
class Fault:
    """The calls or allocations [first, last], counted from 1, and what becomes of them."""

    mode: Mode
    first: int
    last: int
    code: int = 0

    def at(self, call: int) -> Fault:
        """The same, later."""
        return replace(self, first=call, last=call + self.last - self.first)

    @property
    def lasting(self) -> bool:
        """Whether it does not end."""
        return self.last > self.first


KINDS = {
    "fail": Fault(Mode.FAIL, 1, 1, -5),
    "unavailable": Fault(Mode.FAIL, 1, 1, -2),
    "memory": Fault(Mode.FAIL, 1, 1, -6),
    "invalid": Fault(Mode.FAIL, 1, 1, -30),
    "delay": Fault(Mode.DELAY, 1, 1),
    "odd": Fault(Mode.ODD_CODE, 1, 1),
    "skip": Fault(Mode.SKIP, 1, 1),
    "noise": Fault(Mode.NOISE, 1, 1),
    "lost": Fault(Mode.FAIL, 1, FOR_EVER, -2),
    "exhausted": Fault(Mode.FAIL, 1, FOR_EVER, -5),
    "host": Fault(Mode.HOST, 1, 1),
}
"""Faults by name, at the first call. In `lost` and `exhausted` the device does not come back."""


class Shim:
    """The library, loaded into this process."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.faulty_struck.restype = ctypes.c_char_p
        for name in ("calls", "kernels", "programs", "memories"):
            getattr(self._library, f"faulty_{name}").restype = ctypes.c_int64

    def order(self, fault: Fault) -> None:
        """Strike from now on, counting calls anew."""
        mode = Mode.FORWARD if fault.mode is Mode.HOST else fault.mode
        first, last = ctypes.c_int64(fault.first), ctypes.c_int64(fault.last)
        self._library.faulty_orders(int(mode), first, last, fault.code, int(TIMEOUT_MS * 1.5e3))

    @property
    def calls(self) -> int:
        """Calls since the last order."""
        return int(self._library.faulty_calls())

    @property
    def struck(self) -> str:
        """The function that was struck last."""
        return str(self._library.faulty_struck().decode())

    def alive(self) -> dict[str, int]:
        """Objects made and not released."""
        names = ("kernels", "programs", "memories")
        return {name: int(getattr(self._library, f"faulty_{name}")()) for name in names}


class HostMemory:
    """The allocator of the model.so that this process will load; make it before."""

    def __init__(self) -> None:
        self._orders = (ctypes.c_int64 * 3)(0, 0, 0)
        os.environ["SCARCE_MEMORY"] = hex(ctypes.addressof(self._orders))

    def order(self, fault: Fault) -> None:
        """Strike from now on, counting allocations anew."""
        strikes = fault.mode is Mode.HOST
        self._orders[:] = [0, fault.first, fault.last] if strikes else [0, 0, 0]

    @property
    def calls(self) -> int:
        """Allocations since the last order."""
        return self._orders[0]


def build_shim(folder: Path, *options: str) -> Path:
    """Compile the OpenCL library into `folder`."""
    output = folder / "libfaulty.so"
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", f"-I{runtime_folder() / 'src'}"]
    source = str(_SUPPORT / "faulty_opencl.cc")
    subprocess.run(
        ["g++", *flags, *options, source, "-o", str(output), "-ldl"], check=True, timeout=120.0
    )
    return output


def build_allocator(folder: Path) -> Path:
    """Compile the allocator into `folder`: an object to link into a model.so."""
    output = folder / "scarce_memory.o"
    source = str(_SUPPORT / "scarce_memory.cc")
    flags = ["-std=c++17", "-O1", "-fPIC", "-Wall"]
    subprocess.run(["g++", *flags, "-c", source, "-o", str(output)], check=True, timeout=120.0)
    return output
