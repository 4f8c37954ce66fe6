"""What the NPU takes, why it takes the rest not, and what `--strict` makes of that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from kernel_harness import HOST, make_model, normal

import hetcomp
from hetcomp.codegen.lower import Lowered, lower_tasks
from hetcomp.errors import InputError, PlanError
from hetcomp.frontend import import_onnx
from hetcomp.npu import Operator
from hetcomp.options import CompileOptions
from hetcomp.pipeline import fusion_pipeline

GRID = {"s": np.float32(0.05), "z": np.uint8(9)}
QUANTIZE = "QuantizeLinear(%s, s, z)"
DEQUANTIZE = "DequantizeLinear(%s, s, z)"


def lowered(model: onnx.ModelProto, *, npu: bool = True) -> Lowered:
    imported = import_onnx(model)
    module = fusion_pipeline()(imported.mod)
    return lower_tasks(imported, module, HOST.cpu, gpu=False, npu=npu)


def between_bytes(operator: str, out: str = "1,3,8,8", before: str = "") -> onnx.ModelProto:
    """`operator` on floats that come from bytes, `before` on them, and go to bytes."""
    text = (
        f"g (uint8[1,3,8,8] x) => (uint8[{out}] y) {{ d = {DEQUANTIZE % 'x'} {before} "
        f"m = {operator} y = {QUANTIZE % 'm'} }}"
    )
    return make_model(text, {**GRID, "shape": np.array([1, 24, 8])})


FLOAT_CONV = make_model(
    "g (float[1,4,6,6] x) => (float[1,8,4,4] y) { y = Conv(x, w) }", {"w": normal(8, 4, 3, 3)}
)
MEAN_OF_FLOATS = between_bytes("GlobalAveragePool(e)", out="1,3,1,1", before="e = Tanh(d)")
INDICES = make_model("g (int64[4] x) => (float[4,8] y) { y = Gather(w, x) }", {"w": normal(16, 8)})


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (FLOAT_CONV, "conv2d computes in float32, not on bytes"),
        (MEAN_OF_FLOATS, "it sums floats"),
        (between_bytes("Softmax<axis=-1>(d)"), "it reduces more than once"),
        (between_bytes("Sqrt(d)"), "it computes sqrt"),
        (INDICES, "a tensor of it is int64"),
        (between_bytes("Reshape(d, shape)", out="1,24,8"), "divides"),
    ],
)
def test_verdicts(model: onnx.ModelProto, reason: str) -> None:
    found = lowered(model)
    refused = [task.why_no_npu for task in found.graph.tasks if not task.npu]
    assert [operator is None for operator in found.operators] == [
        not task.npu for task in found.graph.tasks
    ]
    assert any(reason in why for why in refused), refused


def test_nothing_is_read_where_it_is_not_asked_for() -> None:
    found = lowered(between_bytes("Relu(d)"), npu=False)
    assert found.operators == ()
    assert {task.why_no_npu for task in found.graph.tasks} == {"compiled without NPU programs"}


def test_a_product_and_what_follows_it_are_one_operator() -> None:
    text = (
        f"g (uint8[2,8] x) => (uint8[2,6] y) {{ d = {DEQUANTIZE % 'x'} "
        f"w = DequantizeLinear(q, s) m = MatMul(d, w) y = {QUANTIZE % 'm'} }}"
    )
    weights = np.arange(48, dtype=np.int8).reshape(8, 6)
    found = lowered(make_model(text, {**GRID, "q": weights}))
    (operator,) = found.operators
    assert isinstance(operator, Operator)
    assert (operator.kind, operator.shape, operator.values[-1][:2]) == (
        *("linear", (2, 6)),
        ("cast", "uint8"),
    )
    words = found.graph.tensors[operator.operands[1]]
    assert (words.shape, words.dtype) == ((2, 6), "int32")
    stored = next(a for a in found.constants if a.shape == (2, 6) and a.dtype == np.int32)
    bytes_of = stored.view(np.int8).reshape(2, 6, 4)
    np.testing.assert_array_equal(bytes_of.transpose(0, 2, 1).reshape(8, 6), weights)


def test_strict_names_what_stays_on_the_cpu(tmp_path: Path) -> None:
    model, path = MEAN_OF_FLOATS, tmp_path / "m.so"
    options = CompileOptions(plan="npu", gpu=False, strict=True)
    with pytest.raises(PlanError, match=r"cannot follow plan 'npu': .*not on the npu: it sums"):
        hetcomp.compile(model, output=path, options=options)
    assert not path.exists()


def test_options() -> None:
    assert CompileOptions(plan="npu").npu == CompileOptions(npu_driver="reference").npu
    assert CompileOptions().npu == ""
    with pytest.raises(
        InputError, match="npu_driver must be one of reference, amx, htp, got 'tpu'"
    ):
        CompileOptions(npu_driver="tpu")
    with pytest.raises(InputError, match="the NPU takes integers and bf16"):
        CompileOptions(plan="npu", precision="f16")
