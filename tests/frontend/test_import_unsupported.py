"""What cannot be run, or would be silently wrong, is refused by name; TVM stays untouched."""

from __future__ import annotations

import gc
import re
from typing import Any

import numpy as np
import onnx
import pytest

from hetcomp.errors import ModelError, UnsupportedOperatorError
from hetcomp.frontend import import_onnx

SMALL = "g (float[2,3] x) => (float[2,3] y) { y = Relu (x) }"


def test_unknown_operators_are_all_listed(parse: Any, failure: Any) -> None:
    body = """g (float[2,3] x) => (float[] y) {
      [one] a = ReLU (x) [two] b = com.acme.Magic (a) [three] y = Det (b)
    }"""
    text = failure(UnsupportedOperatorError, parse(body, domains=', "com.acme" : 3'))
    assert "3 nodes are not supported" in text
    assert "node 'one' (ReLU), domain ai.onnx, operator set 17" in text
    assert "nearest: Relu" in text
    assert "node 'two' (com.acme.Magic), domain com.acme, operator set 3" in text
    assert "node 'three' (Det)" in text


def test_long_lists_are_cut(parse: Any, failure: Any) -> None:
    nodes = " ".join(f"y{i} = Det (x)" for i in range(14))
    outputs = ", ".join(f"float y{i}" for i in range(14))
    text = failure(
        UnsupportedOperatorError, parse(f"g (float[2,2] x) => ({outputs}) {{ {nodes} }}")
    )
    assert text.count("(Det)") == 10
    assert "and 4 more" in text


def test_domains_are_not_mixed_up(parse: Any, failure: Any) -> None:
    """TVM's table knows com.microsoft.Attention, and would take ONNX's for it."""
    heads = "q_num_heads: int = 1, kv_num_heads: int = 1"
    body = f"g (float[1,2,3] x) => (float[] y) {{ y = Attention <{heads}> (x, x, x) }}"
    assert "(Attention)" in failure(UnsupportedOperatorError, parse(body, opset=23))


F4 = "g (float[1,4,4,4] x) => (float[] y) "
SILENTLY_WRONG = [
    (F4 + "{ y = Resize <antialias: int = 1> (x, , s) }", 18, "antialias"),
    (
        F4 + '{ y = Resize <mode: string = "cubic", exclude_outside: int = 1> (x, , s) }',
        18,
        "exclude_outside",
    ),
    (F4 + "{ y = Resize (x, , f) }", 18, "fractional extents"),
    (
        F4 + "{ y = ConvTranspose <output_shape: ints = [9, 9]> (x, w) }",
        17,
        "output_shape=[9, 9]",
    ),
    (F4 + "{ y, m = MaxPool <kernel_shape: ints = [2, 2]> (x) }", 17, "its output 'm' is used"),
    (F4 + "{ y, m = LayerNormalization (x, v) }", 17, "its output 'm' is used"),
    (
        F4 + '{ y = RoiAlign <mode: string = "max"> (x, r, i) }',
        16,
        "mode=max",
    ),
    (
        "g (float[1,5,4] b, float[1,2,5] c, int64 k) => (int64[] y) "
        "{ y = NonMaxSuppression (b, c, k) }",
        13,
        "input 2 is known at run time only",
    ),
    ("g (float[2] x, int64[1] s) => (float[] y) { y = Expand (x, s) }", 13, "input 1 ('s')"),
    ("g (float[2] x, float[2] z) => (float[] y) { y = Mod (x, z) }", 28, "fmod=0"),
    ("g (string[2] x) => (string[2] y) { y = Reshape (x, o) }", 13, "element type string"),
    (
        "g (float[2] x, bool c) => (float[] y) { y = If (c) <"
        "then_branch = a () => (float[2] p) { p = Neg (x) }, "
        "else_branch = b () => (float[2] q) { q = Relu (x) }> }",
        16,
        "control flow",
    ),
]


@pytest.mark.parametrize(
    ("body", "opset", "part"), SILENTLY_WRONG, ids=lambda value: str(value)[-20:]
)
def test_silently_wrong_forms_are_refused(
    body: str, opset: int, part: str, parse: Any, failure: Any
) -> None:
    weights = {
        "s": np.array([1, 1, 2, 2], np.float32),
        "f": np.array([1, 1, 1.6, 1.6], np.float32),
        "w": np.ones((4, 2, 2, 2), np.float32),
        "v": np.ones(4, np.float32),
        "r": np.ones((1, 4), np.float32),
        "i": np.zeros(1, np.int64),
        "o": np.array([2]),
    }
    used = {n: v for n, v in weights.items() if re.search(rf"[ (]{n}[,)]", body.split("{", 1)[1])}
    if "int64[1] s" in body:
        used.pop("s")
    model = parse(body, opset=opset, weights=used)
    for output in ("m",):
        if f", {output} =" in body:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(output))
    text = failure(UnsupportedOperatorError, model)
    assert part in text
    assert f"operator set {opset}" in text


def test_sequence_input_is_refused(parse: Any, failure: Any) -> None:
    body = "g (seq(float[2]) x, int64 i) => (float[2] y) { y = SequenceAt (x, i) }"
    assert "input 'x' is a sequence_type" in failure(UnsupportedOperatorError, parse(body))


def test_failure_inside_tvm_names_the_node(parse: Any) -> None:
    body = "g (float[3] x, int64 axis) => (float[3] y) { [sum1] y = CumSum (x, axis) }"
    with pytest.raises(ModelError, match=r"cannot import node 'sum1' \(CumSum\)") as caught:
        import_onnx(parse(body))
    assert caught.value.__cause__ is not None


def test_tvm_is_left_as_it_was(parse: Any) -> None:
    from tvm.relax.frontend.onnx import onnx_frontend

    before = {name: vars(cls).copy() for name, cls in onnx_frontend._get_convert_map().items()}
    import_onnx(parse(SMALL))
    after = {name: vars(cls).copy() for name, cls in onnx_frontend._get_convert_map().items()}
    assert before == after


@pytest.mark.filterwarnings("error")
def test_nothing_is_printed_or_warned(
    parse: Any, capfd: pytest.CaptureFixture[str], failure: Any
) -> None:
    import_onnx(parse(SMALL))
    failure(ModelError, parse("g (float[3] x, int64 a) => (float[3] y) { y = CumSum (x, a) }"))
    gc.collect()  # TVM's builder complains when it is destroyed half-way
    assert capfd.readouterr() == ("", "")
