"""Half precision as ARM code, by conversion and by products of float16, under an emulator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from arena import Trial, run_trials
from arm_harness import NEON, Emulated, execute_on_arm, why_not
from arm_machine import needs_everything
from kernel_harness import lower, reference
from required import ARM
from test_half_kernels import CHAINED, NAMES, assert_near, half_case, roundings_of

from hetcomp.codegen.kernels import _compile
from hetcomp.schedules.half import BF16, F16, HalfFormat
from hetcomp.targets.arm_cores import ARM_CORES, arm_cpu

FP16 = Emulated(arm_cpu(ARM_CORES["cortex-a76"], "cortex-a76"), "cortex-a76")
MATRIX = Emulated(arm_cpu(ARM_CORES["cortex-a710"], "cortex-a710"), "max")
"""QEMU before 8.1 names no CPU that has bf16 and lacks something."""
CASES = [
    (NEON, F16),
    pytest.param(NEON, BF16, marks=needs_everything),
    (FP16, F16),
    (MATRIX, BF16),
]


@ARM.marker(why_not())
@pytest.mark.parametrize(("cpu", "form"), CASES, ids=lambda v: getattr(v, "name", v))
def test_on_an_emulated_core(cpu: Emulated, form: HalfFormat, tmp_path: Path) -> None:
    """Right values; random cuts that fit; nothing read or written beside a buffer."""
    cases = [half_case(name, form) for name in NAMES]
    trials = [Trial(lower(model, cpu.facts, half=form), feeds) for model, feeds in cases]
    outputs = run_trials(trials, 0, lambda arena: execute_on_arm(arena, cpu, tmp_path))
    for name, (model, feeds), trial, got in zip(NAMES, cases, trials, outputs, strict=True):
        roundings = CHAINED if cpu is FP16 else roundings_of(name, trial.lowered)
        assert_near(got, reference(model, feeds), form, roundings)


def code_of_a_product(cpu: Emulated, form: HalfFormat) -> str:
    model, _ = half_case("linear", form)
    lowered = lower(model, cpu.facts, half=form)
    kernel = next(k for k in lowered.kernels if k.scheduled.kind == "linear")
    functions = {kernel.symbol: kernel.scheduled.emit(kernel.symbol, cpu.facts)}
    return str(_compile(functions, cpu.llvm).inspect_source("asm"))


def test_products_of_matrices() -> None:
    text = code_of_a_product(MATRIX, BF16)
    assert len(re.findall(r"\bbfmmla\s+v\d+\.4s", text)) >= 2 * MATRIX.facts.max_rows
    assert "bl\thetcomp_bfmmla" not in text


def test_eight_products_an_instruction() -> None:
    text = code_of_a_product(FP16, F16)
    assert len(re.findall(r"\bfmla\s+v\d+\.8h", text)) >= FP16.facts.max_rows - 1
