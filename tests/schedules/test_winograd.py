"""Winograd's convolution: exact transforms, every tile on every shape, and when it is taken."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_harness import (
    HOST,
    Array,
    _Memory,
    check,
    compile_kernels,
    lower,
    make_model,
    normal,
    random_feeds,
    with_algorithm,
)

from hetcomp.codegen.kernels import opencl_source
from hetcomp.codegen.lower import lower_tasks
from hetcomp.frontend import import_onnx
from hetcomp.pipeline import fusion_pipeline
from hetcomp.schedules.facts import CpuFacts, DeviceFacts, GroupFacts
from hetcomp.schedules.winograd.schedule import TILES, Tile
from hetcomp.schedules.winograd.transform import TAPS, transform

SETTINGS = settings(
    max_examples=12, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
FACTS = [CpuFacts.AVX512, CpuFacts.AVX2, CpuFacts.NEON, CpuFacts.SSE]
SERVER = replace(CpuFacts.AVX512, scratch_bytes=2 << 20)
"""The processor that the rule was fitted on."""
TOLERANCES = {Tile(2, 2): 1e-6, Tile(4, 2): 2.5e-6, Tile(4, 4): 5e-6}
"""Stated in the README and in `hetcomp.schedules.winograd`, for up to 512 channels."""
ACTIVATIONS = {
    "none": "y = Conv<{attributes}>(x, w)",
    "bias, relu": "c = Conv<{attributes}>(x, w, b) y = Relu(c)",
    "bias, silu": "c = Conv<{attributes}>(x, w, b) s = Sigmoid(c) y = Mul(c, s)",
    "residual": "c = Conv<{attributes}>(x, w, b) a = Add(c, r) y = Relu(a)",
}


def dims(*values: int) -> str:
    return ",".join(map(str, values))


def conv_model(
    data: tuple[int, int, int, int], channels: int, pads: tuple[int, ...] = (1, 1, 1, 1),
    activation: str = "none",
) -> Any:  # fmt: skip
    """A 3x3 convolution whose outputs are of the size of its inputs; `pads` in ONNX order."""
    batch, ins, height, width = data
    out = (batch, channels, height + pads[0] + pads[2] - 2, width + pads[1] + pads[3] - 2)
    nodes = ACTIVATIONS[activation].format(attributes=f"pads=[{dims(*pads)}]")
    inputs = f"float[{dims(*data)}] x" + f", float[{dims(*out)}] r" * (", r)" in nodes)
    weights = {"w": normal(channels, ins, TAPS, TAPS) / np.float32(np.sqrt(9 * ins))}
    if ", b)" in nodes:
        weights["b"] = normal(channels)
    return make_model(f"g ({inputs}) => (float[{dims(*out)}] y) {{ {nodes} }}", weights)


def oracle(x: Array, w: Array) -> Array:
    """The convolution with one pixel of padding, in float64."""
    height, width = x.shape[2:]
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    taps = [(i, j) for i in range(TAPS) for j in range(TAPS)]
    parts = [
        np.einsum(
            "nchw,oc->nohw", x[:, :, i : i + height, j : j + width], w[:, :, i, j], optimize=True
        )
        for i, j in taps
    ]
    return np.asarray(sum(parts))


@pytest.mark.parametrize("outputs", [2, 4])
def test_transforms_are_exact(outputs: int) -> None:
    """`output ((filter g) * (data d))` is the correlation for every pair of unit vectors."""
    t = transform(outputs)
    for shift in range(t.inputs):
        for tap in range(TAPS):
            points = [row[shift] * taps[tap] for row, taps in zip(t.data, t.filter, strict=True)]
            got = [sum(a * p for a, p in zip(row, points, strict=True)) for row in t.output]
            assert got == [Fraction(k + tap == shift) for k in range(outputs)]


@pytest.mark.parametrize("outputs", [2, 4])
def test_evaluation_shares_halves_of_pairs(outputs: int) -> None:
    """What the kernels evaluate, pair by pair, is the product with the matrices."""
    t = transform(outputs)
    values = np.random.default_rng(outputs).standard_normal(t.inputs)
    for rows, apply in ((t.data, t.apply_data), (t.output, t.apply_output)):
        matrix = np.array([[float(value) for value in row] for row in rows])
        bound: list[Any] = []

        def bind(value: Any, bound: list[Any] = bound) -> Any:
            bound.append(value)
            return value

        np.testing.assert_allclose(apply(list(values), bind), matrix @ values, rtol=1e-12)
        assert len(bound) == 2 * (t.inputs // 2 - 1)


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.variant)
@pytest.mark.parametrize("channels", [16, 512])
def test_error_against_float64(tile: Tile, channels: int) -> None:
    data = (1, channels, 18, 18)
    model = conv_model(data, 32)
    lowered = lower(model, None, with_algorithm(tile.variant))
    feeds = random_feeds(model)
    memory = _Memory(lowered, feeds)
    functions = compile_kernels(lowered.kernels, HOST.cpu)
    for task in lowered.graph.tasks:
        tensors = (*task.inputs, *task.outputs)
        pointers = [ctypes.c_void_p(memory.buffer(tensor).address) for tensor in tensors]
        symbol = lowered.graph.kernels[task.kernel].symbol
        functions(symbol)(*pointers, 0, task.rows.extent, 0, task.channels.extent)
    weight = normal(32, channels, TAPS, TAPS) / np.float32(np.sqrt(9 * channels))
    expected = oracle(feeds["x"], weight)
    error = np.abs(memory.value(lowered.graph.outputs[0]) - expected).max()
    assert error / np.abs(expected).max() < TOLERANCES[tile]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.variant)
def test_epilogues(tile: Tile, activation: str) -> None:
    model = conv_model((1, 24, 11, 13), 40, activation=activation)
    check(model, TOLERANCES[tile], kinds=["conv2d"], choose=with_algorithm(tile.variant))


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts.name)
@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.variant)
def test_register_files(tile: Tile, facts: DeviceFacts) -> None:
    """Many blocks of tiles, of which the last overlaps, and ragged channels."""
    model = conv_model((2, 40, 31, 37), 88)
    lowered = check(
        model, TOLERANCES[tile], kinds=["conv2d"], facts=facts, choose=with_algorithm(tile.variant)
    )
    (task,) = (task for task in lowered.graph.tasks if task.kind == "conv2d")
    assert task.rows.extent > 2
    assert lowered.graph.kernels[task.kernel].variant == tile.variant


@st.composite
def models(draw: Any) -> Any:
    data = (
        draw(st.integers(1, 2)),
        draw(st.integers(1, 40)),
        draw(st.integers(1, 20)),
        draw(st.integers(1, 20)),
    )
    pads = tuple(draw(st.integers(max(0, 3 - data[2 + axis]), 4)) for axis in (0, 1, 0, 1))
    channels = draw(st.integers(16, 70))
    return conv_model(data, channels, pads, draw(st.sampled_from(list(ACTIVATIONS))))


@SETTINGS
@given(model=models(), tile=st.sampled_from(TILES), facts=st.sampled_from(FACTS))
def test_random_shapes(model: Any, tile: Tile, facts: DeviceFacts) -> None:
    check(model, TOLERANCES[tile], facts=facts, choose=with_algorithm(tile.variant))


def variants(model: Any, **options: Any) -> set[str]:
    imported = import_onnx(model)
    lowered = lower_tasks(imported, fusion_pipeline()(imported.mod), HOST.cpu, gpu=False, **options)
    return {kernel.variant for kernel in lowered.graph.kernels}


def test_exact_keeps_to_the_direct_method() -> None:
    model = conv_model((1, 64, 28, 28), 64)
    assert "winograd 4x4" in variants(model)
    assert variants(model, exact=True) == {"direct"}
    chosen = with_algorithm("winograd 4x4")
    assert variants(model, exact=True, choose=chosen) == {"direct"}
    assert variants(model, choose=with_algorithm("direct")) == {"direct"}


def test_class_gpu_keeps_to_the_direct_method() -> None:
    assert variants(conv_model((1, 64, 28, 28), 64), groups=GroupFacts()) == {"direct"}


@pytest.mark.parametrize(
    ("size", "channels", "expected"),
    [
        (56, 64, "winograd 4x4"),
        (20, 256, "winograd 4x4"),
        (14, 256, "winograd 4x2"),
        (8, 448, "winograd 2x2"),
        (7, 512, "direct"),
    ],
)
def test_tile_shrinks_with_the_map(size: int, channels: int, expected: str) -> None:
    model = conv_model((1, channels, size, size), channels)
    imported = import_onnx(model)
    module = fusion_pipeline()(imported.mod)
    lowered = lower_tasks(imported, module, SERVER, gpu=False)
    kernels = lowered.graph.kernels
    assert {kernels[t.kernel].variant for t in lowered.graph.tasks if t.kind == "conv2d"} == {
        expected
    }


@pytest.mark.parametrize(
    ("attributes", "size"),
    [("strides=[2,2]", 13), ("dilations=[2,2]", 24), ("group=2", 26)],
)
def test_other_windows_are_direct(attributes: str, size: int) -> None:
    ins = 16 if "group" in attributes else 32
    out = dims(1, 32, size, size)
    text = f"g (float[1,32,28,28] x) => (float[{out}] y) {{ y = Conv<{attributes}>(x, w) }}"
    model = make_model(text, {"w": normal(32, ins, TAPS, TAPS)})
    assert variants(model) == {"direct"}


def test_scratch_memory_is_within_the_device() -> None:
    """Local memory that PoCL would refuse costs a model the whole device."""
    lowered = lower(conv_model((1, 512, 28, 28), 64), None, with_algorithm("winograd 4x4"))
    kernels = [k for k in lowered.kernels if k.scheduled.variant != "direct"]
    item_bytes = {"char": 1, "float": 4, "float16": 64}
    source, chain = opencl_source(kernels, HOST.opencl).split("__kernel void hetcomp_chain")
    for text in (source, chain):  # each kernel alone, and the one that runs any of them
        sizes = [
            int(line.split("[")[1].split("]")[0]) * item_bytes[line.split()[1]]
            for line in text.splitlines()
            if line.strip().startswith("__local")
        ]
        assert 0 < sum(sizes) <= HOST.opencl.scratch_bytes
