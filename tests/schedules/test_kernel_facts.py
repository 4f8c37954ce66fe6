"""Facts of generated kernels against counting by hand."""

from __future__ import annotations

import onnx
from kernel_harness import lower, make_model, normal, with_algorithm

from hetcomp.cost.kernel_facts import KernelFacts
from hetcomp.schedules.facts import CpuFacts
from hetcomp.schedules.half import F16


def _facts(model: onnx.ModelProto, kind: str, algorithm: str = "direct") -> KernelFacts:
    graph = lower(model, CpuFacts.AVX512, with_algorithm(algorithm)).graph
    (kernel,) = {task.kernel for task in graph.tasks if task.kind == kind}
    return graph.kernels[kernel].facts


def _conv(padding: int) -> onnx.ModelProto:
    size = 12 + 2 * padding
    conv = f"c = Conv<pads=[{','.join([str(padding)] * 4)}]>(a, w)"
    text = f"g (float[1,32,14,14] x) => (float[1,48,{size},{size}] y) {{"
    weights = {"w": normal(48, 32, 3, 3)}
    return make_model(f"{text} a = Neg(x) {conv} y = Relu(c) }}", weights)


def test_taps_on_padding_do_not_count() -> None:
    assert _facts(_conv(0), "conv2d").map_taps == 9
    facts = _facts(_conv(1), "conv2d")
    assert facts.taps == 9
    assert facts.map_taps == (40 / 14) ** 2  # 14 windows of 3, less one tap at either edge


def test_a_direct_convolution_has_rows_of_the_map_as_tiles() -> None:
    facts = _facts(_conv(1), "conv2d")
    assert (facts.pixels, facts.columns, facts.depth) == (196, 48, 32)
    assert (facts.row_pixels, facts.tile_height, facts.lanes) == (14, 14, 16)
    assert facts.light_ops == 196 * 48  # Relu


def test_winograd_multiplies_map_tiles_at_each_position() -> None:
    facts = _facts(_conv(1), "conv2d", "winograd 4x4")
    assert (facts.pixels, facts.positions, facts.depth) == (16, 36, 32)


def test_a_product_counts_its_epilogue() -> None:
    text = "g (float[3,64] x) => (float[3,96] y) { p = MatMul(x, w) e = Exp(p) y = Relu(e) }"
    facts = _facts(make_model(text, {"w": normal(64, 96)}), "linear")
    assert (facts.pixels, facts.columns, facts.depth, facts.stages) == (3, 96, 64, 2)
    assert (facts.light_ops, facts.heavy_ops) == (3 * 96, 3 * 96)


def test_rows_of_a_softmax() -> None:
    text = "g (float[8,100] x) => (float[8,100] y) { y = Softmax<axis=-1>(x) }"
    facts = _facts(make_model(text), "rowwise")
    assert (facts.pixels, facts.columns) == (8, 100)
    assert facts.heavy_ops >= 8 * 100


def test_a_transposed_read_is_scattered() -> None:
    text = "g (float[8,100] x) => (float[100,8] y) { t = Relu(x) y = Transpose<perm=[1,0]>(t) }"
    graph = lower(make_model(text), CpuFacts.AVX512).graph
    assert sum(kernel.facts.scattered_reads for kernel in graph.kernels) == 800


def test_reads_in_order_are_not_scattered() -> None:
    text = "g (float[8,100] x, float[100] b) => (float[8,100] y) { y = Add(x, b) }"
    (kernel,) = lower(make_model(text), CpuFacts.AVX512).graph.kernels
    assert kernel.facts.scattered_reads == 0


def test_parameters_of_16_bits_are_noted() -> None:
    text = "g (float[3,64] x) => (float[3,96] y) { p = MatMul(x, w) y = Relu(p) }"
    model = make_model(text, {"w": normal(64, 96)})
    assert _facts(model, "linear").item_bytes == 4
    (kernel,) = lower(model, CpuFacts.AVX512, half=F16).graph.kernels
    assert kernel.facts.item_bytes == 2  # the weights are
