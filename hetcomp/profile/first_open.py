"""What opening a model takes the first time on a machine: in a new process, with no cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from hetcomp.errors import DeviceError
from hetcomp.machine import Machine
from hetcomp.profile.build import Build

__all__ = ["first_open_us"]

_NO_CACHES = {
    "CUDA_CACHE_DISABLE": "1",
    "MESA_SHADER_CACHE_DISABLE": "true",
    "NEO_CACHE_PERSISTENT": "0",
}
"""Drivers keep compiled kernels on disk; these are told not to, PoCL gets an empty folder."""
_LIMIT_S = 300.0
_OPEN = """
import sys, time
from hetcomp.runtime import load
begin = time.perf_counter()
with load(sys.argv[1], plan=sys.argv[2], cache="off", quiet=True) as session:
    print((time.perf_counter() - begin) * 1e6)
"""


def first_open_us(build: Build, machine: Machine) -> float:
    """Microseconds to load a model's file and compile its OpenCL kernels.

    Raises
    ------
    DeviceError
        The model cannot be opened.
    """
    return _first_here_us(build) if machine.remote is None else _first_there_us(build, machine)


def _first_there_us(build: Build, machine: Machine) -> float:
    """A board's session is a new process, in an empty folder."""
    variables = {**_NO_CACHES, "POCL_CACHE_DIR": "./drivers-cache"}
    plan = "gpu" if build.gpu else "cpu"
    with machine.opened(build.path, variables, plan=plan, cache="off") as found:
        return found.open_s * 1e6


def _first_here_us(build: Build) -> float:
    with tempfile.TemporaryDirectory(prefix="hetcomp-profile-") as folder:
        environment = {**os.environ, **_NO_CACHES, "POCL_CACHE_DIR": folder}
        try:
            done = subprocess.run(
                [sys.executable, "-c", _OPEN, str(build.path), "gpu" if build.gpu else "cpu"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            why = (error.stderr.strip().splitlines() or [f"status {error.returncode}"])[-1]
            raise DeviceError(f"the model of probes cannot be opened: {why}") from error
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"the model of probes did not open within {_LIMIT_S:.0f} s"
            ) from error
    return float(done.stdout)
