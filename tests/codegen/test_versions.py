"""Versions of CPU kernels: what is the same code for two CPUs is compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest
from budget_cases import CASES
from kernel_harness import HOST, lower

from hetcomp.codegen.versions import cpu_code
from hetcomp.targets import CompileTarget, find_target

LINUX = "aarch64-linux-gnu"
ANY = find_target(LINUX, f16_products=True)
NAMED = find_target(f"{LINUX},cpu=cortex-a53+cortex-a76")


@pytest.mark.parametrize(
    ("case", "target", "own"),
    [
        ("gemm", ANY, ["", "", ""]),
        ("int8 gemm", ANY, ["_v0", "_v1", ""]),
        ("f16 gemm", ANY, ["_v1", "_v1", ""]),
        ("gemm", NAMED, ["_v0", ""]),
        ("gemm", HOST, [""]),
    ],
)
def test_code_that_differs_is_compiled(
    case: str, target: CompileTarget, own: list[str], tmp_path: Path
) -> None:
    layer = CASES[case]
    kernels = lower(layer.model, target.cpu, half=layer.half).kernels
    symbol = next(k.symbol for k in kernels if k.scheduled.kind == layer.kind)
    code = cpu_code(kernels, target, tmp_path)
    assert code.symbols[symbol] == tuple(f"{symbol}{ending}" for ending in own)
    assert {len(symbols) for symbols in code.symbols.values()} == {len(target.versions)}
    objects = b"".join(path.read_bytes() for path in code.objects)
    for name in {name for symbols in code.symbols.values() for name in symbols}:
        assert f"\0__tvm_ffi_{name}\0".encode() in objects
