"""No kernel takes more instructions or cycles on an ARM core than it has a budget for.

Refresh the budgets as `arm_budgets.py` says. A76 alone; all cores where `HETCOMP_TEST_ARM` is set
(`make test-arm`).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from arm_budgets import Cost, load_budgets, measure
from arm_harness import COMPILER, why_not
from budget_cases import CASES
from emulated_counts import count_blocks, why_no_counts
from pipeline_model import PIPELINES, why_no_cycles
from required import ARM, ARM_IN_FULL

WHY_NOT = why_not() or why_no_counts() or why_no_cycles()
CORES = list(PIPELINES) if ARM_IN_FULL.here else ["cortex-a76"]

INSTRUCTIONS, CYCLES = 0.01, 0.03
"""How far from its budget a kernel may be: what other releases of the tools may change."""
ISSUED_A_CYCLE = 2.0
"""Vector products that A76 can issue."""
LEAST_SHARE = 0.85
PRODUCTS = (
    "gemm", "conv 3x3", "conv 3x3, Winograd", "conv 3x3, stride 2", "conv 1x1", "matmul",
    "int8 gemm", "int8 conv 3x3", "f16 gemm",
)  # fmt: skip
"""Kernels whose hottest stretch is to do nothing but products."""


@pytest.fixture(scope="module", params=CORES)
def core(request: pytest.FixtureRequest) -> str:
    """A core of `CORES`."""
    return str(request.param)


@pytest.fixture(scope="module")
def costs(core: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cost]:
    """What all cases take on `core`."""
    ARM.skip_or_fail(WHY_NOT)
    return measure(core, list(CASES), tmp_path_factory.mktemp("budgets"))


def test_kernels_keep_to_their_budgets(core: str, costs: dict[str, Cost]) -> None:
    """Dearer is a regression; cheaper wants a new budget."""
    budgets = load_budgets()[core]
    assert budgets.keys() == costs.keys()
    off = [
        f"{name}: {what} {spent:,} of {granted:,}"
        for name, cost in costs.items()
        for what, spent, granted, slack in (
            ("instructions", cost.instructions, budgets[name].instructions, INSTRUCTIONS),
            ("cycles", cost.cycles, budgets[name].cycles, CYCLES),
        )
        if abs(spent - granted) > slack * granted
    ]
    assert not off, "\n".join(off)


def test_products_fill_the_pipelines(core: str, costs: dict[str, Cost]) -> None:
    if core != "cortex-a76":
        pytest.skip("only A76 is modelled well enough for a share of its peak")
    shares = {name: costs[name].products_per_cycle / ISSUED_A_CYCLE for name in PRODUCTS}
    assert not {name: share for name, share in shares.items() if share < LEAST_SHARE}


def test_no_product_is_of_one_number(costs: dict[str, Cost]) -> None:
    assert not {name: cost for name, cost in costs.items() if cost.scalar_products}


@ARM.marker(WHY_NOT)
def test_counts_are_exact(tmp_path: Path) -> None:
    """A loop of three instructions, whose number is an argument."""
    source, program = tmp_path / "loop.s", tmp_path / "loop"
    source.write_text(
        ".globl _start\n_start: ldr x0, =1000\n"
        "again: nop\n subs x0, x0, #1\n b.ne again\n mov x8, #93\n svc #0\n"
    )
    files = [os.fspath(source), "-o", os.fspath(program)]
    subprocess.run([COMPILER, "-nostdlib", "-static", *files], check=True, timeout=60.0)
    blocks = count_blocks([os.fspath(program)], tmp_path)
    assert sum(one.instructions * one.executions for one in blocks) == 1 + 3 * 1000 + 2
