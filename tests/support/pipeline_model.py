"""Cycles of straight-line code on ARM cores, as LLVM's model of their pipelines has it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

__all__ = ["ANALYSER", "PIPELINES", "cycles_of", "why_no_cycles"]

ANALYSER = "llvm-mca-19"
"""Pinned: figures change with the models."""
PIPELINES = {
    "cortex-a53": "cortex-a53",
    "cortex-a55": "cortex-a55",
    "cortex-a72": "cortex-a72",
    "cortex-a76": "neoverse-n1",
    "cortex-a710": "neoverse-n2",
}
"""The core whose model to use. LLVM takes A57's for A76, which issues one multiply-add of 128 bits
a cycle; Neoverse N1 has A76's pipeline, two a cycle, and a model of its own.
N2's is A710's."""
_ITERATIONS = 100
_FEATURES = "-mattr=+v8.2a,+dotprod,+fullfp16,+i8mm,+bf16"
_TIMEOUT_S = 60.0


def why_no_cycles() -> str:
    """Why cycles cannot be told here; empty where they can."""
    return "" if shutil.which(ANALYSER) else f"{ANALYSER} missing: apt-get install llvm-19"


def cycles_of(blocks: Sequence[Sequence[str]], core: str) -> list[float]:
    """Cycles that each block takes where it runs again and again, all data in the first cache.

    Parameters
    ----------
    blocks
        Instructions as a disassembler prints them, without targets of branches.
    core
        One of `PIPELINES`.
    """
    lines = [line for i, block in enumerate(blocks) for line in _region(i, block)]
    command = [ANALYSER, "-mtriple=aarch64-linux-gnu", _FEATURES, f"-mcpu={PIPELINES[core]}"]
    command += [f"-iterations={_ITERATIONS}", "-resource-pressure=0", "-instruction-info=0"]
    text = "\n".join([*lines, "target:", "nop", ""])
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_S)
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.findall(r"Code Region - b(\d+)\s.*?Total Cycles:\s+(\d+)", done.stdout, re.DOTALL)
    assert [int(number) for number, _ in found] == list(range(len(blocks))), done.stderr[-2000:]
    return [int(cycles) / _ITERATIONS for _, cycles in found]


def _region(number: int, block: Sequence[str]) -> list[str]:
    return [f"/* LLVM-MCA-BEGIN b{number} */", *block, f"/* LLVM-MCA-END b{number} */"]
