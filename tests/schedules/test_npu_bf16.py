"""Products of bfloat16 on the NPU: what is taken, how it lies in the file, the order of sums."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from kernel_harness import HOST, make_model, normal

import hetcomp
from hetcomp.codegen.lower import Lowered, lower_tasks
from hetcomp.errors import InputError
from hetcomp.frontend import import_onnx
from hetcomp.npu.operators import Product
from hetcomp.options import CompileOptions
from hetcomp.pipeline import fusion_pipeline
from hetcomp.schedules.half import BF16, F16, HalfFormat

Array = np.ndarray[Any, Any]
LEAST = np.float32(2.0**-126)
RUN = 32


def lowered(model: onnx.ModelProto, half: HalfFormat = BF16) -> Lowered:
    imported = import_onnx(model)
    module = fusion_pipeline()(imported.mod)
    return lower_tasks(imported, module, HOST.cpu, gpu=False, half=half, npu=True)


def linear(depth: int = 40, columns: int = 48) -> onnx.ModelProto:
    text = (
        f"g (float[5,{depth}] x) => (float[5,{columns}] y) "
        "{ r = Relu(x) m = MatMul(r, w) a = Add(m, b) y = Softmax(a) }"
    )
    return make_model(text, {"w": normal(depth, columns), "b": normal(columns)})


def conv(dilation: int = 1) -> onnx.ModelProto:
    attributes = f"dilations=[1,{dilation}], pads=[1,1,1,1]"
    wide = 6 + 2 - 2 * dilation
    text = (
        f"g (float[1,12,6,6] x) => (float[1,48,6,{wide}] y) "
        f"{{ r = Relu(x) y = Conv<{attributes}>(r, w, b) }}"
    )
    return make_model(text, {"w": normal(48, 12, 3, 3), "b": normal(48)})


DEPTHWISE = make_model(
    "g (float[1,16,6,6] x) => (float[1,16,4,4] y) { r = Relu(x) y = Conv<group=16>(r, w) }",
    {"w": normal(16, 1, 3, 3)},
)


def test_a_linear_layer_is_one_operator() -> None:
    model = linear()
    found = lowered(model)
    (operator,) = [o for o in found.operators if o is not None and isinstance(o.core, Product)]
    assert isinstance(operator.core, Product)
    assert (operator.kind, operator.core.dtype, operator.core.depth) == ("linear", "float32", 40)
    assert operator.values[-1][:2] == ("cast", "bfloat16")
    words = found.constant(operator.operands[operator.core.right])
    assert (words.shape, words.dtype) == ((20, 48), np.int32)
    weights = BF16.rounded(np.asarray(onnx.numpy_helper.to_array(model.graph.initializer[0])))
    halves = words.view(np.uint16).reshape(20, 48, 2)
    np.testing.assert_array_equal(halves.transpose(0, 2, 1).reshape(40, 48), weights)


@pytest.mark.parametrize(
    ("model", "half", "reason"),
    [
        (linear(depth=41), BF16, "it has 41 input channels, no multiple of 2"),
        (linear(), F16, "its tensors are float16"),
        (linear(columns=4), BF16, "it multiplies 32-bit floats"),
        (
            make_model(
                "g (float[4,8] x) => (float[4,4] y) "
                "{ r = Relu(x) t = Transpose(r) m = MatMul(r, t) y = Softmax(m) }",
                {},
            ),
            BF16,
            "it multiplies two activations in floats",
        ),
        (DEPTHWISE, BF16, "depthwise computes in float32, not on bfloat16"),
    ],
)
def test_refusals(model: onnx.ModelProto, half: HalfFormat, reason: str) -> None:
    refused = [task.why_no_npu for task in lowered(model, half).graph.tasks]
    assert any(reason in why for why in refused), refused


def test_no_part_of_a_product_of_floats_is_shared() -> None:
    found = lowered(linear())
    pairs = zip(found.graph.tasks, found.operators, strict=True)
    rows = {o.kind: task.npu_rows for task, o in pairs if o is not None}
    assert rows["linear"] == 0
    assert rows["map"] > 0


def test_options() -> None:
    assert CompileOptions(npu_driver="amx", precision="bf16").npu == "amx"
    with pytest.raises(InputError, match="driver htp takes integers"):
        CompileOptions(npu_driver="htp", precision="bf16")


def flushed(numbers: Array) -> Array:
    return np.where(np.abs(numbers) < LEAST, np.copysign(np.float32(0), numbers), numbers)


def fused(a: Array, b: Array, c: Array) -> Array:
    """`a * b + c`; exact in float64 but for halves of a last bit, which the seeds do not meet."""
    return flushed((a.astype(np.float64) * b + c).astype(np.float32))


def summed(left: Array, right: Array, runs: list[int]) -> Array:
    """`left @ right` of bfloat16 in the order that `hetcomp.npu.operators` defines."""
    total = np.zeros((left.shape[0], right.shape[1]), np.float32)
    for begin, end in itertools.pairwise(itertools.accumulate(runs, initial=0)):
        for first in range(begin, end, RUN):
            parts = [np.zeros_like(total), np.zeros_like(total)]
            for k in range(first, min(first + RUN, end)):
                product = fused(left[:, k, None], right[None, k], parts[(k - first) % 2])
                parts[(k - first) % 2] = product
            total = flushed(total + flushed(parts[0] + parts[1]))
    return total


def bf16(numbers: Array) -> Array:
    return (BF16.rounded(numbers).astype(np.uint32) << 16).view(np.float32)


def taps(image: Array, dilation: int) -> Array:
    """The rows of a 3x3 window on a map `[channels][height][width]`: taps, then channels."""
    padded = np.pad(image.transpose(1, 2, 0), ((1, 1), (1, 1), (0, 0)))
    height, width = image.shape[1], image.shape[2] + 2 - 2 * dilation
    places = itertools.product(range(3), range(0, 3 * dilation, dilation))
    parts = [padded[i : i + height, j : j + width].reshape(height * width, -1) for i, j in places]
    return np.concatenate(parts, axis=1)


def on_reference(model: onnx.ModelProto, feeds: dict[str, Array], folder: Path) -> Array:
    options = CompileOptions(plan="npu", precision="bf16", gpu=False)
    hetcomp.compile(model, output=folder / "m.so", options=options)
    with hetcomp.load(folder / "m.so") as session:
        output = np.array(session.run(feeds)["y"])
        assert (session.status().npu, session.status().npu_fallbacks) == ("reference", 0)
    return output


@pytest.mark.parametrize("dilation", [1, 2])
def test_the_reference_adds_in_the_order_that_is_defined(dilation: int, tmp_path: Path) -> None:
    """A convolution's bits; its taps are one run of a row, or one each where they lie apart."""
    model = conv(dilation=dilation)
    weights, bias = (np.asarray(onnx.numpy_helper.to_array(i)) for i in model.graph.initializer)
    x = np.random.default_rng(3).standard_normal((1, 12, 6, 6)).astype(np.float32)
    left = taps(bf16(np.maximum(x[0], 0)), dilation)
    right = bf16(weights).transpose(2, 3, 1, 0).reshape(-1, 48)
    runs = [36] * 3 if dilation == 1 else [12] * 9
    got = on_reference(model, {"x": x}, tmp_path)
    expected = (summed(left, right, runs) + bias).T.reshape(got.shape)
    np.testing.assert_array_equal(bf16(got), bf16(expected))
