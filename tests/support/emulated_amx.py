"""A process with Intel AMX on a CPU without it: instructions executed by a trap emulator.

What runs so is the driver's own code; it is right or not, and its speed says nothing.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hetcomp
from hetcomp.codegen.toolchain import find_toolchain, run_tool

__all__ = ["Counts", "Emulator", "build_emulator", "run_in_emulator", "why_no_emulator"]

_SUPPORT = Path(__file__).resolve().parent
_SOURCES = ("amx_emulator", "amx_interposed", "amx_processor", "amx_instruction", "amx_bf16")


@dataclass(frozen=True)
class Counts:
    """What the emulator has executed.

    Attributes
    ----------
    instructions
        Names and how often.
    threads
        Threads that have configured tiles.
    left
        Those of them that have not released them.
    """

    instructions: dict[str, int]
    threads: int
    left: int

    @staticmethod
    def read(path: Path) -> Counts:
        """The file that `AMX_EMULATOR_COUNTS` names."""
        found = {name: int(count) for name, count in map(str.split, path.read_text().splitlines())}
        threads, left = found.pop("threads"), found.pop("left")
        return Counts({name: count for name, count in found.items() if count}, threads, left)


@dataclass(frozen=True)
class Emulator:
    """The emulator's library."""

    library: Path

    def environment(self, counts: Path | None = None, without: str = "") -> dict[str, str]:
        """Variables for a process whose CPU has AMX, but for the parts named in `without`."""
        return {
            "LD_PRELOAD": str(self.library),
            "AMX_EMULATOR_WITHOUT": without,
            "AMX_EMULATOR_COUNTS": "" if counts is None else str(counts),
        }


def why_no_emulator() -> str:
    """Empty where `build_emulator` can, else why not."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        return "the emulator of AMX is for x86-64 Linux"
    if "cpuid_fault" not in Path("/proc/cpuinfo").read_text():
        return "this CPU or kernel cannot trap CPUID, which the emulator of AMX needs"
    return ""


def build_emulator(folder: Path) -> Emulator:
    """Compile the emulator for this CPU into `folder`."""
    library = folder / "libamx_emulator.so"
    sources = [str(_SUPPORT / f"{name}.cc") for name in _SOURCES]
    flags = ["-std=c++17", "-O3", "-march=native", "-fPIC", "-shared", "-Wall", "-Wextra"]
    run_tool([*find_toolchain().cxx, *flags, *sources, "-o", str(library), "-ldl"])
    return Emulator(library)


def run_in_emulator(
    emulator: Emulator,
    command: Sequence[str],
    counts: Path | None = None,
    without: str = "",
    timeout: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Run a program; Python finds hetcomp and this folder's modules."""
    path = os.pathsep.join(map(str, (Path(hetcomp.__file__).parent.parent, _SUPPORT)))
    env = {**os.environ, "PYTHONPATH": path, **emulator.environment(counts, without)}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env)
