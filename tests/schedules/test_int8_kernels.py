"""Integer kernels, bit for bit against NumPy's integers: shapes, grids and tails at random."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_harness import EXACT, HOST, assert_close, lower, run_cut
from quantized_layers import attention_products, conv_layers, linear_layers
from quantized_models import QuantizedLayer

from hetcomp.schedules.facts import CpuFacts, DeviceFacts

SETTINGS = settings(
    max_examples=20,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
FACTS = st.sampled_from(
    [HOST.cpu, HOST.cpu, CpuFacts.AVX512, CpuFacts.AVX2, CpuFacts.SSE, CpuFacts.NEON]
)


def check(layer: QuantizedLayer, facts: DeviceFacts) -> set[str]:
    """The layer's output under every cut is NumPy's; the kinds of its tasks."""
    lowered = lower(layer.model(), facts)
    (output,) = run_cut(lowered, {"x": layer.x}, facts)
    assert_close(output, layer.oracle(), EXACT)
    return {task.kind for task in lowered.graph.tasks}


@SETTINGS
@given(layer=linear_layers(), facts=FACTS)
def test_linear(layer: QuantizedLayer, facts: DeviceFacts) -> None:
    assert "linear" in check(layer, facts)


@SETTINGS
@given(layer=conv_layers(), facts=FACTS)
def test_convolution(layer: QuantizedLayer, facts: DeviceFacts) -> None:
    assert check(layer, facts) & {"conv2d", "depthwise"}


@SETTINGS
@given(case=attention_products(), facts=FACTS)
def test_product_of_activations(case: Any, facts: DeviceFacts) -> None:
    model, feeds, expected = case
    lowered = lower(model, facts)
    (output,) = run_cut(lowered, feeds, facts)
    assert_close(output, expected, EXACT)
    assert "matmul" in {task.kind for task in lowered.graph.tasks}
