"""The same templates make NEON kernels: compiled for aarch64 and read as assembly (not run)."""

from __future__ import annotations

import re

import pytest
import tvm
from onnx import parser

from hetcomp.codegen.kernels import _compile
from hetcomp.codegen.lower import lower_tasks
from hetcomp.frontend import import_onnx
from hetcomp.pipeline import fusion_pipeline
from hetcomp.schedules.facts import CpuFacts

_TARGET = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mattr": ["+neon"], "num-cores": 1}
_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g '
_MODELS = {
    "linear": _HEAD + "(float[64,96] x) => (float[64,48] y) <float[96,48] w> { y = MatMul(x, w) }",
    "conv2d": _HEAD + "(float[1,16,20,20] x) => (float[1,32,20,20] y) <float[32,16,3,3] w>"
    " { y = Conv<pads=[1,1,1,1]>(x, w) }",
    "depthwise": _HEAD + "(float[1,24,20,20] x) => (float[1,24,20,20] y) <float[24,1,3,3] w>"
    " { y = Conv<pads=[1,1,1,1], group=24>(x, w) }",
}


def _with_weights(text: str) -> str:
    """ONNX's text format wants values; ones will do for code generation."""

    def fill(match: re.Match[str]) -> str:
        dims = [int(dim) for dim in match[1].split(",")]
        count = 1
        for dim in dims:
            count *= dim
        return f"<float[{match[1]}] w = {{{', '.join(['1.0'] * count)}}}>"

    return re.sub(r"<float\[([\d,]+)\] w>", fill, text)


@pytest.mark.parametrize("kind", sorted(_MODELS))
def test_neon_multiply_adds(kind: str) -> None:
    imported = import_onnx(parser.parse_model(_with_weights(_MODELS[kind])))
    lowered = lower_tasks(imported, fusion_pipeline()(imported.mod), CpuFacts.NEON, gpu=False)
    kernel = next(k for k in lowered.kernels if k.scheduled.kind == kind)
    with tvm.transform.PassContext(disabled_pass=["tirx.StorageRewrite"]):
        module = _compile(
            {kernel.symbol: kernel.scheduled.emit(kernel.symbol, CpuFacts.NEON)},
            tvm.target.Target(_TARGET),
        )
    assembly = module.inspect_source("asm")
    vector = len(re.findall(r"\bfmla\s+v\d+\.4s", assembly))
    scalar = len(re.findall(r"\bfmadd\s+s\d+", assembly))
    assert vector >= CpuFacts.NEON.max_rows
    assert scalar == 0
