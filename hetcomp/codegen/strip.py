"""The command that takes the symbols out of a target's libraries and programs."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from hetcomp.codegen.toolchain import Toolchain, run_tool
from hetcomp.errors import ToolchainError

__all__ = ["find_strip"]

_EVERY_TARGETS = "llvm-strip"


def find_strip(tools: Toolchain) -> Path:
    """The strip that belongs to a compiler and knows its target's files.

    Raises
    ------
    ToolchainError
        There is none.
    """
    names = ["strip", _EVERY_TARGETS]
    if tools.is_android:  # the NDK brings llvm-strip, and no other
        compiler = shutil.which(tools.cxx[0]) or tools.cxx[0]
        names = [str(Path(compiler).with_name(_EVERY_TARGETS)), _EVERY_TARGETS, "strip"]
    for name in names:
        found = _found(tools, name)
        if found is not None:
            return found
    raise ToolchainError(
        f"{shlex.join(tools.cxx)} knows no strip: install its binutils, or {_EVERY_TARGETS}"
    )


def _found(tools: Toolchain, name: str) -> Path | None:
    """What the compiler calls so; compilers that know none name the host's, or say just `name`."""
    said = name if os.path.isabs(name) else run_tool([*tools.cxx, f"-print-prog-name={name}"])
    path = shutil.which(said.strip())
    if path is None:
        return None
    hosts = shutil.which("strip") if tools.triple is not None and name == "strip" else None
    return None if hosts is not None and os.path.samefile(path, hosts) else Path(path)
