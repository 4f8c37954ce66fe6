"""Random convolutions and products; hypothesis prints seed and a reproducing example on failure."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_harness import MATRIX, check, make_model, normal

from hetcomp.schedules.facts import CpuFacts, DeviceFacts

SETTINGS = settings(
    max_examples=15,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
FACTS = st.sampled_from([CpuFacts.AVX512, CpuFacts.AVX2, CpuFacts.NEON, CpuFacts.SSE])


def dims(*values: int) -> str:
    return ",".join(map(str, values))


@st.composite
def linear_models(draw: Any) -> Any:
    m, k = draw(st.integers(1, 70)), draw(st.integers(1, 40))
    n = draw(st.one_of(st.integers(1, 70), st.integers(200, 300)))
    tail = draw(st.sampled_from(["y = MatMul(x, w)", "m = MatMul(x, w) y = Relu(m)"]))
    return make_model(
        f"g (float[{m},{k}] x) => (float[{m},{n}] y) {{ {tail} }}", {"w": normal(k, n)}
    )


@st.composite
def product_models(draw: Any) -> Any:
    batch = draw(st.integers(1, 4))
    m, n, k = (draw(st.integers(1, 60)) for _ in range(3))
    transposed = draw(st.booleans())
    right = dims(batch, n, k) if transposed else dims(batch, k, n)
    nodes = "t = Transpose<perm=[0,2,1]>(b) y = MatMul(a, t)" if transposed else "y = MatMul(a, b)"
    inputs = f"float[{dims(batch, m, k)}] a, float[{right}] b"
    return make_model(f"g ({inputs}) => (float[{dims(batch, m, n)}] y) {{ {nodes} }}")


@st.composite
def conv_models(draw: Any) -> Any:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    ins, outs = (groups * draw(st.integers(1, 40 // groups)) for _ in range(2))
    if draw(st.integers(0, 4)) == 0:
        groups = outs = ins  # depthwise
    kernel = [draw(st.integers(1, 5)) for _ in range(2)]
    strides = [draw(st.integers(1, 3)) for _ in range(2)]
    dilations = [draw(st.integers(1, 3)) for _ in range(2)]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = [draw(st.integers(0, span)) for span in (*spans, *spans)]
    sizes = [draw(st.integers(max(1, span - sum(pads[i::2])), span + 20))
             for i, span in enumerate(spans)]  # fmt: skip
    out = [
        (size + sum(pads[i::2]) - span) // stride + 1
        for i, (size, span, stride) in enumerate(zip(sizes, spans, strides, strict=True))
    ]
    batch = draw(st.integers(1, 2))
    attributes = (
        f"pads=[{dims(*pads)}], strides=[{dims(*strides)}], dilations=[{dims(*dilations)}], "
        f"group={groups}"
    )
    text = (
        f"g (float[{dims(batch, ins, *sizes)}] x) => (float[{dims(batch, outs, *out)}] y) "
        f"{{ y = Conv<{attributes}>(x, w) }}"
    )
    return make_model(text, {"w": normal(outs, ins // groups, *kernel)})


@SETTINGS
@given(model=linear_models(), facts=FACTS)
def test_linear(model: Any, facts: DeviceFacts) -> None:
    check(model, MATRIX, facts=facts, kinds=["linear"])


@SETTINGS
@given(model=product_models(), facts=FACTS)
def test_product(model: Any, facts: DeviceFacts) -> None:
    check(model, MATRIX, facts=facts, kinds=["matmul"])


@SETTINGS
@given(model=conv_models(), facts=FACTS)
def test_convolution(model: Any, facts: DeviceFacts) -> None:
    lowered = check(model, MATRIX, facts=facts)
    kinds = {task.kind for task in lowered.graph.tasks} - {"elementwise"}
    assert kinds in ({"conv2d"}, {"depthwise"})
