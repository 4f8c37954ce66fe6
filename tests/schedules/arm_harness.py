"""Runs kernels compiled for 64-bit ARM under an emulator: many in one small C program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from arena import Arena, Image
from kernel_harness import FILLS

from hetcomp.codegen.kernels import cpu_objects
from hetcomp.codegen.lowered_kernel import LoweredKernel
from hetcomp.schedules.facts import DeviceFacts
from hetcomp.targets.arm_cores import ArmCpu, arm_cpu

__all__ = ["NEON", "Emulated", "build_program", "calls_of", "execute_on_arm", "why_not"]

COMPILER = "aarch64-linux-gnu-gcc"
EMULATOR = "qemu-aarch64-static"
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Emulated:
    """A CPU to compile for and to emulate: an instruction it lacks ends the program."""

    cpu: ArmCpu
    emulated: str

    @property
    def facts(self) -> DeviceFacts:
        """What kernels are generated for."""
        return self.cpu.facts

    @property
    def llvm(self) -> Any:
        """TVM's target."""
        return tvm.target.Target(self.cpu.llvm())


NEON = Emulated(arm_cpu(frozenset()), "cortex-a53")


def why_not() -> str:
    """Why ARM code cannot run here; empty where it can."""
    missing = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
    if not missing:
        return ""
    return (
        f"{', '.join(missing)} missing: ARM kernels are not run; "
        "apt-get install qemu-user-static g++-aarch64-linux-gnu libc6-dev-arm64-cross"
    )


def execute_on_arm(arena: Arena, cpu: Emulated, folder: Path) -> list[Image]:
    """All calls of `arena` on the emulated `cpu`; the memory after them."""
    program = build_program(arena.kernels, cpu, folder)
    calls = folder / "calls"
    calls_of(arena).tofile(calls)
    images = []
    for fill in FILLS:
        memory = folder / "memory"
        arena.image(fill).tofile(memory)
        _run_tool([EMULATOR, "-cpu", cpu.emulated, *map(os.fspath, (program, calls, memory))])
        images.append(np.fromfile(memory, np.uint8))
    return images


def calls_of(arena: Arena) -> npt.NDArray[np.int64]:
    """Calls as the C program reads them."""
    words = [len(arena.calls)]
    for call in arena.calls:
        words += [call.kernel, len(call.places), *(place.offset for place in call.places)]
        words += [call.part.row_begin, call.part.row_end]
        words += [call.part.channel_begin, call.part.channel_end]
    return np.array(words, np.int64)


def build_program(kernels: Sequence[LoweredKernel], cpu: Emulated, folder: Path) -> Path:
    """A program that makes the calls of a file on the memory of another one, see arm_driver.c."""
    objects = cpu_objects(kernels, cpu.facts, cpu.llvm, folder)
    names = [f"__tvm_ffi_{kernel.symbol}" for kernel in kernels]
    table = folder / "table.c"
    table.write_text(
        '#include "arm_driver.h"\n'
        + "".join(f"int {name}(void*, const Any*, int32_t, Any*);\n" for name in names)
        + f"const Kernel kernels[] = {{{', '.join(names)}}};\n"
    )
    here = Path(__file__).parent
    program = folder / "program"
    sources = [os.fspath(path) for path in (table, here / "arm_driver.c", *objects)]
    _run_tool([COMPILER, "-O1", "-static", f"-I{here}", *sources, "-o", os.fspath(program), "-lm"])
    return program


def _run_tool(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}"
