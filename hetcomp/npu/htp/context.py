"""Context binaries: the vendor's compiler, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import onnx

from hetcomp.devices.htp import LICENCE, SOCS
from hetcomp.errors import ToolchainError

__all__ = ["Compiled", "check_installed", "compile_contexts"]

_PACKAGE = "onnxruntime_qnn"
_LIMIT_S = 900
_TAIL = 500


@dataclass(frozen=True)
class Compiled:
    """A region's context; empty where the compiler refuses the region, and then why."""

    context: bytes
    why_not: str


def check_installed() -> None:
    """Raise ToolchainError where the vendor's tools are not installed, saying how they are."""
    if find_spec(_PACKAGE) is None:
        raise ToolchainError(
            f"driver htp needs the package onnxruntime-qnn, which is not installed: {LICENCE}"
        )


def compile_contexts(models: Sequence[onnx.ModelProto], soc: str) -> list[Compiled]:
    """Compile regions for one SoC, a key of `hetcomp.devices.htp.SOCS`.

    Each result is a model with one node, `EPContext`, in which the binary is embedded.

    Raises
    ------
    ToolchainError
        The vendor's tools are not installed, or end without an answer.
    """
    check_installed()
    if not models:
        return []
    with tempfile.TemporaryDirectory(prefix="hetcomp-htp-") as name:
        folder = Path(name)
        for index, model in enumerate(models):
            (folder / f"{index}.onnx").write_bytes(model.SerializeToString())
        answer = _run(folder, len(models), soc)
        return [
            Compiled((folder / f"{index}.context").read_bytes() if not why else b"", why)
            for index, why in enumerate(answer)
        ]


def _run(folder: Path, count: int, soc: str) -> list[str]:
    """What the other process says of each model, "" where it compiled it."""
    module = f"{__package__}.compiler"
    command = [sys.executable, "-m", module, str(folder), str(count), soc]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, cwd=folder)
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(f"Qualcomm's compiler did not answer within {_LIMIT_S} s") from error
    answer = folder / "answer.json"
    if done.returncode != 0 or not answer.exists():
        tail = (done.stderr or done.stdout)[-_TAIL:].strip()
        what = f"Qualcomm's compiler for {soc} ({SOCS[soc]})"
        raise ToolchainError(f"{what} ended with status {done.returncode}: {tail}")
    result: list[str] = json.loads(answer.read_text())
    return result
