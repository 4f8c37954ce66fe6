"""What is said of ARM cores is what LLVM knows of them; combinations keep all their features."""

from __future__ import annotations

import pytest
import tvm

from hetcomp.targets.arm_cores import ARM_CORES, arm_cpu

LLVM_NAMES = {
    "asimd": "neon", "asimdhp": "fullfp16", "asimddp": "dotprod", "i8mm": "i8mm", "bf16": "bf16",
}  # fmt: skip
UNLIKE_LLVM = {"cortex-a75": {"asimddp"}}
"""LLVM grants what later revisions have."""


@pytest.mark.parametrize("core", ARM_CORES)
def test_features_are_those_that_llvm_knows(core: str) -> None:
    target = tvm.target.Target(
        {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": core, "num-cores": 1}
    )
    known = set(map(str, tvm.target.codegen.llvm_get_cpu_features(target)))
    granted = {name for name, llvm in LLVM_NAMES.items() if llvm in known}
    assert granted - UNLIKE_LLVM.get(core, set()) == ARM_CORES[core]


def test_a_core_with_float16_and_bytes_has_both() -> None:
    cpu = arm_cpu(ARM_CORES["cortex-a76"], "cortex-a76")
    assert (cpu.facts.f16_products, cpu.facts.dot) == (True, "sdot")
    assert cpu.attributes == ("+neon", "-sve", "+fullfp16", "+dotprod")
    assert cpu.llvm()["mcpu"] == "cortex-a76"


def test_products_that_are_not_allowed_are_left_out() -> None:
    cpu = arm_cpu(ARM_CORES["cortex-x2"] - {"asimdhp"})
    assert (cpu.facts.f16_products, cpu.facts.dot) == (False, "usdot")
    assert "mcpu" not in cpu.llvm()


def test_names_tell_the_facts_apart() -> None:
    found = {arm_cpu(features).facts for features in ARM_CORES.values()}
    assert len({facts.name for facts in found}) == len(found) == len(set(ARM_CORES.values()))
