"""Products of bytes as ARM code: bit for bit under an emulator, and read as assembly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from arena import Trial, run_trials
from arm_harness import NEON, Emulated, execute_on_arm, why_not
from batches import BATCHES
from budget_cases import CASES
from hypothesis import given
from hypothesis import strategies as st
from kernel_harness import EXACT, assert_close, lower
from quantized_families import QUANTIZED_FAMILIES, QuantizedCase
from required import ARM

from hetcomp.codegen.kernels import _compile
from hetcomp.cost.kernel_facts import KernelFacts
from hetcomp.targets.arm_cores import ARM_CORES, arm_cpu

STEPS = 4
"""Words of four bytes in a vector."""
OF_EACH = 3
"""Layers of each family in a batch; the first batch has the smallest."""

DOT = Emulated(arm_cpu(ARM_CORES["cortex-a76"], "cortex-a76"), "cortex-a76")
I8MM = Emulated(arm_cpu(ARM_CORES["cortex-a710"], "cortex-a710"), "max")
"""QEMU before 8.1 names no CPU that has i8mm and lacks something."""
CPUS = {cpu.facts.name: cpu for cpu in (NEON, DOT, I8MM)}


@ARM.marker(why_not())
@pytest.mark.parametrize("cpu", CPUS)
@BATCHES
@given(
    cases=st.tuples(*[st.tuples(*[family] * OF_EACH) for family in QUANTIZED_FAMILIES.values()]),
    seed=st.integers(0, 2**32 - 1),
)
def test_on_an_emulated_core(cases: Any, seed: int, cpu: str, tmp_path: Path) -> None:
    """Right values; random cuts that fit; nothing read or written beside a buffer."""
    flat: list[QuantizedCase] = [case for family in cases for case in family]
    arm = CPUS[cpu]
    trials = [Trial(lower(case.model, arm.facts), case.feeds) for case in flat]
    outputs = run_trials(trials, seed, lambda arena: execute_on_arm(arena, arm, tmp_path))
    for case, (got,) in zip(flat, outputs, strict=True):
        assert_close(got, case.expected, EXACT)


def products_of(cpu: Emulated) -> tuple[str, KernelFacts]:
    """The code of a product, and its tiles."""
    layer = CASES["int8 gemm"]
    lowered = lower(layer.model, cpu.facts)
    kernel = next(k for k in lowered.kernels if k.scheduled.kind == layer.kind)
    functions = {kernel.symbol: kernel.scheduled.emit(kernel.symbol, cpu.facts)}
    assembly = str(_compile(functions, cpu.llvm).inspect_source("asm"))
    return assembly, kernel.scheduled.facts


def test_products_of_four() -> None:
    """One for each accumulator and step, four steps a load: words come as a register's lanes.
    Their sign is corrected once for all rows."""
    assembly, tile = products_of(DOT)
    vectors = tile.tile_width // DOT.facts.lanes
    by_lane = re.findall(r"\bsdot\s+v\d+\.4s, v\d+\.16b, v\d+\.4b\[\d\]", assembly)
    whole = re.findall(r"\bsdot\s+v\d+\.4s, v\d+\.16b, v\d+\.16b", assembly)
    assert len(by_lane) == STEPS * tile.tile_height * vectors
    assert len(whole) == STEPS * vectors


def test_products_of_matrices() -> None:
    """One for each two rows, two channels and two steps."""
    assembly, tile = products_of(I8MM)
    found = re.findall(r"\b([us]+mmla|[us]+dot)\s+v\d+\.4s, v\d+\.16b, v\d+\.16b", assembly)
    assert found == ["usmmla"] * (STEPS // 2 * tile.tile_height // 2 * tile.tile_width // 2)


def test_products_of_pairs() -> None:
    """Two of eight each are added in 16 bits; a row beside the tile's sums up weights."""
    assembly, tile = products_of(NEON)
    in_32_bits = (tile.tile_height + 1) * tile.tile_width // NEON.facts.lanes * STEPS
    for name in ("smull2?", "smlsl2?", "sadalp"):
        found = re.findall(rf"\b{name}\s+v\d+\.(?:8h|4s), v\d+\.(?:8b|16b|8h)", assembly)
        assert len(found) == in_32_bits, name
    assert not re.search(r"\bml[as]\s+v", assembly)
