"""Where a program for ARM spends its instructions: executions of each, by function and by block."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulated_counts import Block

__all__ = ["Instruction", "Stretch", "disassembly", "stretches"]

DISASSEMBLER = "aarch64-linux-gnu-objdump"
_FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
_BRANCH = re.compile(r"^(b|bl|br|blr|ret|b\.\w+|cbn?z|tbn?z)$")
_TARGET = re.compile(r"\b([0-9a-f]+) <.*>$")
_BYTES = 4


@dataclass(frozen=True)
class Instruction:
    """One instruction, with the function that it is in and where it may branch to."""

    function: str
    name: str
    operands: str
    target: int | None

    @property
    def text(self) -> str:
        """As an assembler takes it, `target` standing for an address."""
        return f"{self.name} {self.operands}"

    @property
    def ends(self) -> bool:
        """Whether another one than the next may follow."""
        return _BRANCH.match(self.name) is not None


@dataclass(frozen=True)
class Stretch:
    """Instructions that always run one after the other, and how often they did."""

    function: str
    instructions: tuple[Instruction, ...]
    executions: int

    @property
    def total(self) -> int:
        """Instructions run."""
        return len(self.instructions) * self.executions

    def count(self, pattern: str) -> int:
        """Instructions in it whose name matches all of `pattern`."""
        return sum(re.fullmatch(pattern, one.name) is not None for one in self.instructions)


def disassembly(program: Path) -> dict[int, Instruction]:
    """The instructions of a program by address."""
    command = [DISASSEMBLER, "-d", "--no-show-raw-insn", os.fspath(program)]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60.0).stdout
    found, function = {}, ""
    for line in text.splitlines():
        if (head := _FUNCTION.match(line)) is not None:
            function = head[1]
        elif (code := _LINE.match(line)) is not None:
            found[int(code[1], 16)] = _instruction(function, code[2], code[3])
    return found


def _instruction(function: str, name: str, operands: str) -> Instruction:
    operands = operands.split("//")[0].strip()
    where = _TARGET.search(operands)
    if where is None:
        return Instruction(function, name, operands, None)
    return Instruction(function, name, _TARGET.sub("target", operands), int(where[1], 16))


def stretches(code: Mapping[int, Instruction], blocks: Iterable[Block]) -> list[Stretch]:
    """What ran, as straight-line code; code that is not of the program is left out."""
    counts: Counter[int] = Counter()
    for block in blocks:
        for step in range(block.instructions):
            counts[block.address + _BYTES * step] += block.executions
    entered = {one.target for one in code.values()}
    return list(_cut(code, counts, entered))


def _cut(
    code: Mapping[int, Instruction], counts: Mapping[int, int], entered: set[int | None]
) -> Iterator[Stretch]:
    current: list[int] = []
    for address in sorted(address for address in counts if address in code):
        if current and _parts(code, counts, entered, current[-1], address):
            yield _stretch(code, counts, current)
            current = []
        current.append(address)
    if current:
        yield _stretch(code, counts, current)


def _parts(
    code: Mapping[int, Instruction], counts: Mapping[int, int], entered: set[int | None],
    last: int, address: int,
) -> bool:  # fmt: skip
    """Whether a new stretch begins at `address`, behind the one at `last`."""
    apart = address != last + _BYTES or counts[address] != counts[last]
    return apart or address in entered or code[last].ends


def _stretch(
    code: Mapping[int, Instruction], counts: Mapping[int, int], addresses: Sequence[int]
) -> Stretch:
    first = addresses[0]
    return Stretch(code[first].function, tuple(code[a] for a in addresses), counts[first])
