"""The trap emulator of AMX: instructions against plain arithmetic, exceptions, what may lack."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from amx_build import compile_support, npu_program
from emulated_amx import Counts, Emulator, run_in_emulator

SEGV, ILL = signal.SIGSEGV, signal.SIGILL


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instructions")
    return npu_program([compile_support("amx_instructions", folder)], folder / "instructions")


def test_every_instruction(amx_emulator: Emulator, program: Path, tmp_path: Path) -> None:
    """Encoded by the assembler, with all kinds of operands, shapes and threads."""
    done = run_in_emulator(amx_emulator, [str(program), "run"], tmp_path / "counts")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = Counts.read(tmp_path / "counts")
    assert set(counts.instructions) == {
        "ldtilecfg", "sttilecfg", "tilerelease", "tilezero", "tileloadd", "tilestored",
        "tdpbssd", "tdpbsud", "tdpbusd", "tdpbuud", "tdpbf16ps",
    }  # fmt: skip
    assert (counts.threads, counts.left) == (5, 0)


@pytest.mark.parametrize(
    ("name", "number", "reason"),
    [
        ("palette", SEGV, "ldtilecfg: there is no such palette"),
        ("reserved", SEGV, "ldtilecfg: reserved bytes"),
        ("ninth", SEGV, "ldtilecfg: there are eight tiles"),
        ("rows", SEGV, "ldtilecfg: a tile has up to 16 rows"),
        ("bytes", SEGV, "ldtilecfg: a row has up to 64 bytes"),
        ("half", SEGV, "ldtilecfg: rows without bytes"),
        ("depth", ILL, "the depths of left and right differ"),
        ("heights", ILL, "rows of sums and left differ"),
        ("widths", ILL, "columns of sums and right differ"),
        ("twice", ILL, "a tile is there twice"),
        ("unused", ILL, "tdpbusd: a tile is used without being configured"),
        ("unconfigured", ILL, "without being configured"),
        ("released", ILL, "without being configured"),
        ("thread", ILL, "without being configured"),
        ("permission", ILL, "no permission for tiles"),
        ("null", SEGV, ""),
        ("other", ILL, ""),
    ],
)
def test_exceptions(
    amx_emulator: Emulator, program: Path, name: str, number: signal.Signals, reason: str
) -> None:
    done = run_in_emulator(amx_emulator, [str(program), "fault", name])
    assert done.returncode == -number
    assert reason in done.stderr if reason else done.stderr == ""


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("tile", "the CPU has no amx-tile"),
        ("int8", "the CPU has no amx-int8"),
        ("tile,int8", "the CPU has no amx-tile, amx-int8"),
        ("states", "the kernel does not save tiles"),
        ("permission", "the kernel refuses the permission for tiles of AMX: Operation not"),
    ],
)
def test_the_driver_finds_what_is_missing(
    amx_emulator: Emulator, program: Path, without: str, said: str
) -> None:
    """By CPUID, XGETBV and the kernel's answer, as on a machine."""
    done = run_in_emulator(amx_emulator, [str(program), "run"], without=without)
    assert done.returncode == 77
    assert done.stdout.startswith(said)


def test_a_cpu_without_bfloat16(amx_emulator: Emulator, program: Path) -> None:
    assert run_in_emulator(amx_emulator, [str(program), "fault", "floats"]).returncode == 0
    done = run_in_emulator(amx_emulator, [str(program), "fault", "floats"], without="bf16")
    assert done.returncode == -ILL
