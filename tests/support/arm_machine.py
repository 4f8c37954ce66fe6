"""An ARM machine: programs and model.so built here, run by an emulator of its CPU.

With `opencl` they find the driver PoCL of an arm64 system that `scripts/arm_sysroot.sh` has made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
from required import ARM, ARM_IN_FULL

from hetcomp.codegen.target_library import fetch_ffi_library
from hetcomp.codegen.toolchain import runtime_folder
from hetcomp.errors import ToolchainError
from hetcomp.runtime import read_image

__all__ = [
    "EMULATOR",
    "LIBRARIES",
    "TRIPLE",
    "ArmMachine",
    "Ran",
    "needs_everything",
    "require_arm",
]

TRIPLE = "aarch64-linux-gnu"
EMULATOR = "qemu-aarch64-static"
LIBRARIES = Path("/usr") / TRIPLE  # of the cross compiler
_ROOT = Path(__file__).resolve().parents[2]
_SYSROOT_S = 600.0

needs_everything = pytest.mark.skipif(
    not ARM_IN_FULL.here, reason="minutes under the emulator: make test-arm"
)


@cache
def why_not() -> str:
    """Why ARM programs cannot be built and run here; empty where they can."""
    tools = (f"{TRIPLE}-g++", EMULATOR)
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} missing: HETCOMP_WITH_ARM=1 make setup"
    try:
        fetch_ffi_library(TRIPLE)
    except ToolchainError as error:
        return str(error)
    return ""


def require_arm() -> None:
    """Skip a test where ARM programs cannot run, unless `make test-arm` wants them."""
    ARM.skip_or_fail(why_not())


@cache
def sysroot() -> Path:
    """The arm64 system with PoCL, made where it is not there yet."""
    folder = Path(platformdirs.user_cache_dir("hetcomp")) / "arm64-sysroot"
    command = [str(_ROOT / "scripts" / "arm_sysroot.sh"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SYSROOT_S)
    if done.returncode != 0:
        ARM.skip_or_fail(f"no arm64 system with PoCL: {done.stderr.strip()[-500:]}")
    return folder.resolve()  # the emulated program's access(2) sees no links within the emulator's


@dataclass(frozen=True)
class Ran:
    """What the application left of one inference, and how long the emulator ran."""

    outputs: dict[str, np.ndarray[Any, Any]]
    status: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class ArmMachine:
    """An emulated CPU.

    Attributes
    ----------
    folder
        For programs and their files.
    cpu
        QEMU's name of it.
    opencl
        Whether there is PoCL.
    timeout_s
        For one program.
    libraries
        Folder of libtvm_ffi.so; None: of the published one.
    """

    folder: Path
    cpu: str = "cortex-a76"
    opencl: bool = False
    timeout_s: float = 60.0
    libraries: Path | None = None
    _built: dict[str, Path] = field(default_factory=dict, init=False, compare=False)

    def build(self, source: Path, *flags: str) -> Path:
        """A C program, compiled for the machine."""
        program = self.folder / f"{source.stem}-arm"
        include = f"-I{runtime_folder() / 'include'}"
        command = [f"{TRIPLE}-gcc", "-std=c99", "-Wall", "-Werror", include, str(source)]
        subprocess.run([*command, "-o", str(program), *flags, "-ldl"], check=True, timeout=120.0)
        return program

    def run(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a program with its arguments; the caller looks at its exit status."""
        return self._run([*self.emulator(), *map(str, command)], self.environment())

    def environment(self) -> dict[str, str]:
        """Of the emulator: PoCL calls a linker of this machine."""
        if not self.opencl:
            return dict(os.environ)
        path = f"{sysroot() / 'host-bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path}

    def emulator(self) -> list[str]:
        """The command that runs a program of the machine."""
        ffi = self.libraries or fetch_ffi_library(TRIPLE).parent
        if not self.opencl:
            emulator = [EMULATOR, "-cpu", self.cpu, "-L", str(LIBRARIES)]
            return [*emulator, "-E", f"LD_LIBRARY_PATH={ffi}", "-E", "HETCOMP_DEVICE=off"]
        root = sysroot()
        programs = self.folder / "pocl"
        programs.mkdir(exist_ok=True)
        emulator = [EMULATOR, "-cpu", self.cpu, "-L", str(root)]
        for setting in (
            f"LD_LIBRARY_PATH={root / 'usr/lib' / TRIPLE}:{ffi}",
            f"OCL_ICD_VENDORS={root / 'etc/OpenCL/vendors'}",
            f"POCL_CACHE_DIR={programs}",
        ):
            emulator += ["-E", setting]
        return emulator

    def infer(self, so: Path, feeds: dict[str, np.ndarray[Any, Any]], **options: Any) -> Ran:
        """One inference of a model.so by the C application; `options` are the runtime's."""
        image = read_image(so)
        given, answer = self.folder / "in", self.folder / "out"
        tensors = image.graph.tensors
        given.write_bytes(b"".join(feeds[tensors[i].name].tobytes() for i in image.graph.inputs))
        program = self._application()
        begin = time.monotonic()
        done = self.run([program, so, json.dumps(options), given, answer])
        seconds = time.monotonic() - begin
        assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-2000:]}"
        data, outputs = answer.read_bytes(), {}
        for index in image.graph.outputs:
            tensor = tensors[index]
            part, data = data[: tensor.size_bytes], data[tensor.size_bytes :]
            outputs[tensor.name] = np.frombuffer(part, tensor.dtype).reshape(tensor.shape)
        assert not data
        return Ran(outputs, json.loads(done.stdout.splitlines()[-1]), seconds)

    def _application(self) -> Path:
        if "application" not in self._built:
            source = Path(__file__).with_name("application.c")
            self._built["application"] = self.build(source)
        return self._built["application"]

    def _run(self, command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=self.timeout_s, env=env
        )
