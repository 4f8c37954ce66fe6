"""Exact instruction counts: programs for ARM run under an emulator that counts blocks of code."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COUNTING_EMULATOR", "Block", "count_blocks", "why_no_counts"]

COUNTING_EMULATOR = "qemu-aarch64"
"""The dynamically linked one: a static one loads no plugins."""
_PLUGIN = Path(__file__).with_name("instruction_counts.c")


@dataclass(frozen=True)
class Block:
    """Straight-line code: address of the first instruction, their number, and how often it ran."""

    address: int
    instructions: int
    executions: int


def why_no_counts() -> str:
    """Why nothing can be counted here; empty where it can."""
    missing = [tool for tool in (COUNTING_EMULATOR, "gcc") if shutil.which(tool) is None]
    return f"{', '.join(missing)} missing: apt-get install qemu-user gcc" if missing else ""


def count_blocks(
    arguments: Sequence[str], folder: Path, *, cpu: str = "max", timeout_s: float = 120.0
) -> list[Block]:
    """Run `arguments`, a program for ARM and its arguments or options of the emulator before it.

    Blocks may overlap: code is counted as the emulator cut it.
    """
    plugin, counts = folder / "counts.so", folder / "counts"
    if not plugin.exists():
        build = ["gcc", "-O1", "-shared", "-fPIC", os.fspath(_PLUGIN), "-o", os.fspath(plugin)]
        subprocess.run(build, check=True, timeout=timeout_s)
    options = ["-cpu", cpu, "-plugin", f"{plugin},out={counts}"]
    done = subprocess.run(
        [COUNTING_EMULATOR, *options, *arguments], capture_output=True, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, f"{arguments[0]}: {done.returncode}: {done.stderr[-2000:]}"
    return [_block(line) for line in counts.read_text(encoding="ascii").splitlines()]


def _block(line: str) -> Block:
    address, instructions, executions = line.split()
    return Block(int(address, 16), int(instructions), int(executions))
