"""Driver `amx`: the reference's bits on modelled tiles and by instructions, its code, its reasons.

Instructions are executed by the CPU where it has AMX, and by a trap emulator on any x86-64.
"""

from __future__ import annotations

import errno
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from amx_build import compile_support, npu_program
from emulated_amx import Counts, Emulator, run_in_emulator

from hetcomp.codegen.toolchain import run_tool, runtime_objects

SEEDS = range(0, 600, 150)
MISSING = 77
LOOP = (
    "ldtilecfg", "tilezero", "tileloadd", "tdpbusd", "tdpbf16ps", "tilestored", "tilerelease",
)  # fmt: skip
"""What the driver is made of."""


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiles")
    objects = [compile_support(name, folder) for name in ("tile_regions", "modelled_amx")]
    return npu_program(objects, folder / "modelled")


def real_amx() -> Path:
    return next(path for path in runtime_objects() if path.stem == "npu_amx")


def ran(program: Path, seed: int) -> subprocess.CompletedProcess[str]:
    command = [str(program), str(seed), str(SEEDS.step)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("seed", SEEDS)
def test_drawn_products_on_modelled_tiles(regions: Path, seed: int) -> None:
    done = ran(regions, seed)
    assert done.returncode == 0, done.stdout + done.stderr
    (requantised,) = re.findall(r"(\d+) requantised", done.stdout)
    assert int(requantised) > 0.4 * SEEDS.step


@pytest.fixture(scope="module")
def real_regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    return npu_program([compile_support("tile_regions", folder), real_amx()], folder / "real")


def test_drawn_products_on_real_tiles(real_regions: Path) -> None:
    for seed in SEEDS:
        done = ran(real_regions, seed)
        if done.returncode == MISSING:
            pytest.skip(f"driver amx: {done.stdout.strip()}")
        assert done.returncode == 0, done.stdout + done.stderr


def test_drawn_products_on_emulated_tiles(
    amx_emulator: Emulator, real_regions: Path, tmp_path: Path
) -> None:
    """The instructions of the driver, executed by a trap emulator."""
    command = [str(real_regions), str(SEEDS[0]), str(SEEDS.step)]
    done = run_in_emulator(amx_emulator, command, tmp_path / "counts")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = Counts.read(tmp_path / "counts")
    assert set(counts.instructions) == set(LOOP)
    assert counts.instructions["ldtilecfg"] == counts.instructions["tilerelease"]
    assert (counts.threads, counts.left) == (1, 0)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="AMX is for x86-64 CPUs")
def test_the_driver_is_made_of_tile_instructions() -> None:
    if shutil.which("objdump") is None:
        pytest.skip("no objdump to read the driver's code with")
    text = run_tool(["objdump", "-d", "--no-show-raw-insn", str(real_amx())])
    code = re.findall(r"^\s+[0-9a-f]+:\s+(\S+)\s*(.*)$", text, re.MULTILINE)
    assert {name for name, _ in code if "tile" in name or name.startswith("tdp")} == set(LOOP)
    # The left operand's rows are unsigned, the right one's words signed; two panels, then one.
    for product in ("tdpbusd", "tdpbf16ps"):
        dots = [operands.replace("%tmm", "") for name, operands in code if name == product]
        assert dots == ["6,4,0", "6,5,1", "7,4,2", "7,5,3", "6,4,0", "6,5,1"]


def test_sums_of_bfloat16_are_the_cpus(tmp_path: Path) -> None:
    """The reference's arithmetic against this CPU's, about the least normal number too."""
    objects = [compile_support("bf16_arithmetic", tmp_path)]
    command = [str(npu_program(objects, tmp_path / "arithmetic"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode == MISSING:
        pytest.skip("the comparison is with an x86-64 CPU")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ((1, 1, 1, 1, 0), ""),
        ((0, 0, 0, 0, 0), "AMX is for x86-64 CPUs under Linux"),
        ((1, 0, 0, 0, 0), "the CPU has no amx-tile, amx-int8"),
        ((1, 1, 0, 0, 0), "the CPU has no amx-int8"),
        ((1, 1, 1, 0, 0), "the kernel does not save tiles"),
        ((1, 1, 1, 1, errno.EOPNOTSUPP), "refuses the permission .* not supported"),
        ((1, 1, 1, 1, errno.ENOSPC), "signal stack is too small"),
    ],
)
def test_what_is_missing(facts_program: Path, facts: tuple[int, ...], reason: str) -> None:
    said = run_tool([str(facts_program), *map(str, facts)])
    assert re.search(reason, said) if reason else said == ""


@pytest.fixture(scope="module")
def facts_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("facts")
    return npu_program([compile_support("amx_facts", folder)], folder / "facts")
