"""Python and C in processes of their own, as where a model.so is deployed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opencl_device import skip_or_fail
from tvm_ffi import libinfo

import hetcomp
from hetcomp.codegen.toolchain import runtime_folder
from hetcomp.runtime import SessionStatus

__all__ = [
    "Script",
    "build_application",
    "require_opencl",
    "run_application",
    "run_program",
    "script_runner",
]

Script = Callable[..., tuple[Any, str]]
"""Runs Python text: returns what it stored in `answer`, and its stderr."""


def script_runner(*folders: Path, timeout: float = 60.0) -> Script:
    """A `Script` that finds hetcomp, this module, and modules in `folders`."""
    here = Path(__file__).resolve().parent
    path = os.pathsep.join(map(str, (Path(hetcomp.__file__).parent.parent, here, *folders)))

    def run(text: str, **env: str) -> tuple[Any, str]:
        body = textwrap.dedent(text) + "\nimport json as _json\nprint(_json.dumps(answer))\n"
        done = subprocess.run(
            [sys.executable, "-c", body],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "PYTHONPATH": path, **env},
        )
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return run


def require_opencl(status: SessionStatus, tier: str = "svm-ahead") -> str:
    """Name of the OpenCL device that a session found; skips where it has not this tier.

    A device without fine-grained SVM has the tiers `event` and `finish` all the same.
    """
    if status.tier == tier:
        return status.device
    reason = f"no OpenCL device with tier {tier}: {status.why_no_gpu or status.tier}"
    skip_or_fail(reason)


def build_application(folder: Path, source: str = "application.c") -> Path:
    """A C program beside this file, compiled into `folder`."""
    program = folder / Path(source).stem
    flags = ["-std=c99", "-Wall", "-Werror", f"-I{runtime_folder() / 'include'}"]
    path = Path(__file__).with_name(source)
    subprocess.run(["cc", *flags, str(path), "-o", str(program), "-ldl"], check=True, timeout=120.0)
    return program


def run_program(command: Sequence[str], timeout: float = 60.0) -> str:
    """What a program that loads a model.so prints; fails with its stderr."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "LD_LIBRARY_PATH": str(Path(libinfo.find_libtvm_ffi()).parent)},
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
    return done.stdout


def run_application(
    program: Path, so: Path, options: str, inputs: bytes
) -> tuple[list[str], bytes]:
    """What the application prints, and its outputs."""
    given, answer = program.with_name("in"), program.with_name("out")
    given.write_bytes(inputs)
    printed = run_program([str(program), str(so), options, str(given), str(answer)])
    return printed.splitlines(), answer.read_bytes()
