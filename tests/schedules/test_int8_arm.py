"""Products of bytes use ARM's dot-product instructions: compiled for aarch64, read as assembly."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import tvm
from kernel_harness import lower, make_model

from hetcomp.codegen.kernels import _compile
from hetcomp.schedules.facts import CpuFacts, DeviceFacts

CASES: list[tuple[DeviceFacts, str, str]] = [
    (CpuFacts.NEON_I8MM, "+i8mm", "usdot"),
    (CpuFacts.NEON_DOT, "+dotprod", "sdot"),
]


def assembly(facts: DeviceFacts, feature: str) -> str:
    text = """g (uint8[64,96] x) => (uint8[64,48] y) { d = DequantizeLinear(x, s)
        e = DequantizeLinear(w, s) c = MatMul(d, e) y = QuantizeLinear(c, s) }"""
    weights = {"w": np.ones((96, 48), np.int8), "s": np.float32(0.1)}
    lowered = lower(make_model(text, weights), facts)
    kernel = next(k for k in lowered.kernels if k.scheduled.kind == "linear")
    target: dict[str, Any] = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "num-cores": 1}
    target["mattr"] = ["+neon", feature]
    with tvm.transform.PassContext(disabled_pass=["tirx.StorageRewrite"]):
        functions = {kernel.symbol: kernel.scheduled.emit(kernel.symbol, facts)}
        module = _compile(functions, tvm.target.Target(target))
    return str(module.inspect_source("asm"))


@pytest.mark.parametrize(("facts", "feature", "instruction"), CASES, ids=lambda v: str(v))
def test_dot_products(facts: DeviceFacts, feature: str, instruction: str) -> None:
    found = re.findall(rf"\b{instruction}\s+v\d+\.4s", assembly(facts, feature))
    assert len(found) >= facts.max_rows
