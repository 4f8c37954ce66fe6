"""Convolutions of every window, dense, grouped, depthwise; whole, cut by rows and by channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from kernel_harness import MATRIX, check, make_model, normal, with_algorithm

from hetcomp.schedules.facts import CpuFacts

DIRECT = with_algorithm("direct")
FACTS = [CpuFacts.AVX512, CpuFacts.AVX2, CpuFacts.NEON, CpuFacts.SSE]


@dataclass(frozen=True)
class Conv:
    """One Conv node; `pads` in ONNX order (top, left, bottom, right)."""

    data: Sequence[int]
    channels: int
    kernel: Sequence[int]
    pads: Sequence[int] = (0, 0, 0, 0)
    strides: Sequence[int] = (1, 1)
    dilations: Sequence[int] = (1, 1)
    group: int = 1

    @property
    def out_shape(self) -> tuple[int, ...]:
        spatial = [
            (size + before + after - (k - 1) * d - 1) // s + 1
            for size, before, after, k, d, s in zip(
                self.data[2:],
                self.pads[:2],
                self.pads[2:],
                self.kernel,
                self.dilations,
                self.strides,
                strict=True,
            )
        ]
        return (self.data[0], self.channels, *spatial)

    def model(self) -> Any:
        attributes = ", ".join(
            f"{name}=[{','.join(map(str, values))}]"
            for name, values in (
                ("pads", self.pads), ("strides", self.strides), ("dilations", self.dilations)
            )
        )  # fmt: skip
        data, out = (",".join(map(str, shape)) for shape in (self.data, self.out_shape))
        node = f"y = Conv<{attributes}, group={self.group}>(x, w)"
        weight = normal(self.channels, self.data[1] // self.group, *self.kernel)
        return make_model(f"g (float[{data}] x) => (float[{out}] y) {{ {node} }}", {"w": weight})


WINDOWS = {
    "1x1": Conv((1, 8, 7, 13), 24, (1, 1)),
    "1x1 stride 2": Conv((1, 8, 7, 13), 24, (1, 1), strides=(2, 2)),
    "1x1 padded": Conv((1, 8, 7, 7), 24, (1, 1), pads=(1, 0, 0, 2)),
    "3x3": Conv((1, 8, 17, 17), 32, (3, 3)),
    "3x3 padded": Conv((1, 17, 13, 35), 24, (3, 3), pads=(1, 1, 1, 1)),
    "3x3 stride 2": Conv((1, 8, 35, 35), 24, (3, 3), pads=(1, 1, 1, 1), strides=(2, 2)),
    "3x3 stride 2x1": Conv((1, 8, 13, 17), 24, (3, 3), pads=(0, 1, 1, 0), strides=(2, 1)),
    "3x3 dilation 2": Conv((1, 8, 17, 17), 24, (3, 3), pads=(2, 2, 2, 2), dilations=(2, 2)),
    "3x3 dilation 6": Conv((1, 8, 17, 17), 24, (3, 3), pads=(6, 6, 6, 6), dilations=(6, 6)),
    "3x3 dilation 6 stride 2": Conv(
        (1, 8, 17, 17), 24, (3, 3), pads=(6, 6, 6, 6), dilations=(6, 6), strides=(2, 2)
    ),
    "3x3 asymmetric": Conv((1, 8, 13, 17), 24, (3, 3), pads=(0, 2, 1, 0)),
    "5x5": Conv((1, 3, 13, 13), 58, (5, 5), pads=(2, 2, 2, 2)),
    "7x7 stride 2": Conv((1, 3, 35, 35), 32, (7, 7), pads=(3, 3, 3, 3), strides=(2, 2)),
    "7x7 of eight": Conv((1, 8, 17, 17), 17, (7, 7), pads=(3, 3, 3, 3)),
    "1x7": Conv((1, 17, 13, 13), 24, (1, 7), pads=(0, 3, 0, 3)),
    "7x1": Conv((1, 17, 13, 13), 24, (7, 1), pads=(3, 0, 3, 0)),
    "groups 2": Conv((1, 24, 13, 13), 58, (3, 3), pads=(1, 1, 1, 1), group=2),
    "groups 4": Conv((1, 32, 7, 7), 24, (3, 3), pads=(1, 1, 1, 1), group=4),
    "groups 4 1x1": Conv((1, 32, 7, 7), 68, (1, 1), group=4),
    "groups, batch 2": Conv((2, 8, 7, 7), 34, (3, 3), group=2),
    "batch 2": Conv((2, 8, 13, 13), 24, (3, 3), pads=(1, 1, 1, 1)),
    "batch 2 1x1": Conv((2, 17, 7, 7), 58, (1, 1)),
    "one channel out": Conv((1, 17, 13, 13), 1, (3, 3), pads=(1, 1, 1, 1)),
    "three channels out": Conv((1, 17, 13, 13), 3, (1, 1)),
    "nchw input": Conv((1, 3, 17, 35), 24, (3, 3), pads=(1, 1, 1, 1), strides=(2, 2)),
    "nchw input, batch 2": Conv((2, 1, 13, 13), 8, (5, 5), pads=(2, 2, 2, 2)),
    "nchw input 1x1": Conv((1, 3, 7, 7), 17, (1, 1)),
    "kernel larger than the map": Conv((1, 8, 3, 3), 24, (7, 7), pads=(3, 3, 3, 3)),
    "windows on padding alone": Conv((1, 8, 2, 2), 24, (2, 2), pads=(3, 3, 3, 3)),
    "dilated beyond the map": Conv((1, 8, 4, 4), 24, (3, 3), pads=(6, 6, 6, 6), dilations=(6, 6)),
    "one row": Conv((1, 8, 1, 35), 24, (1, 5), pads=(0, 2, 0, 2)),
    "one column": Conv((1, 8, 35, 1), 24, (5, 1), pads=(2, 0, 2, 0)),
    "one pixel": Conv((1, 17, 1, 1), 50, (1, 1)),
    "one output": Conv((1, 8, 5, 5), 24, (5, 5)),
}

DEPTHWISE = {
    "8": Conv((1, 8, 13, 13), 8, (3, 3), pads=(1, 1, 1, 1), group=8),
    "58": Conv((1, 58, 13, 17), 58, (3, 3), pads=(1, 1, 1, 1), group=58),
    "96": Conv((1, 96, 7, 35), 96, (5, 5), pads=(2, 2, 2, 2), group=96),
    "5": Conv((1, 5, 7, 7), 5, (3, 3), pads=(1, 1, 1, 1), group=5),
    "stride 2": Conv((1, 58, 13, 13), 58, (3, 3), pads=(1, 1, 1, 1), strides=(2, 2), group=58),
    "5x5 stride 2": Conv((1, 8, 35, 13), 8, (5, 5), pads=(1, 2, 2, 1), strides=(2, 2), group=8),
    "dilation 2": Conv((1, 8, 17, 17), 8, (3, 3), pads=(2, 2, 2, 2), dilations=(2, 2), group=8),
    "batch 2": Conv((2, 24, 7, 7), 24, (3, 3), pads=(1, 1, 1, 1), group=24),
    "no padding": Conv((1, 24, 7, 9), 24, (3, 3), group=24),
    "1x1": Conv((1, 24, 7, 9), 24, (1, 1), group=24),
    "kernel larger than the map": Conv((1, 24, 3, 3), 24, (7, 7), pads=(3, 3, 3, 3), group=24),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_convolution(name: str) -> None:
    check(WINDOWS[name].model(), MATRIX, kinds=["conv2d"], choose=DIRECT)


@pytest.mark.parametrize("name", DEPTHWISE)
def test_depthwise(name: str) -> None:
    check(DEPTHWISE[name].model(), MATRIX, kinds=["depthwise"])


@pytest.mark.parametrize("facts", FACTS, ids=lambda f: f.name)
@pytest.mark.parametrize("name", ["3x3 padded", "groups 4", "nchw input", "batch 2 1x1"])
def test_convolution_of_other_register_files(name: str, facts: Any) -> None:
    check(WINDOWS[name].model(), MATRIX, kinds=["conv2d"], facts=facts, choose=DIRECT)


@pytest.mark.parametrize("facts", FACTS, ids=lambda f: f.name)
@pytest.mark.parametrize("name", ["58", "5"])
def test_depthwise_of_other_register_files(name: str, facts: Any) -> None:
    check(DEPTHWISE[name].model(), MATRIX, kinds=["depthwise"], facts=facts)


def test_depthwise_with_multiplier() -> None:
    conv = Conv((1, 8, 7, 7), 24, (3, 3), pads=(1, 1, 1, 1), group=8)
    check(conv.model(), MATRIX, kinds=["conv2d"], choose=DIRECT)


def test_computed_weights_fall_back() -> None:
    text = "g (float[1,8,7,7] x, float[24,8,3,3] w) => (float[1,24,5,5] y) { y = Conv(x, w) }"
    lowered = check(make_model(text), MATRIX)
    assert not {"conv2d", "opaque"} & {task.kind for task in lowered.graph.tasks}


def test_one_dimensional_convolution() -> None:
    text = "g (float[1,8,35] x) => (float[1,24,35] y) { y = Conv<pads=[1,1]>(x, w) }"
    check(make_model(text, {"w": normal(24, 8, 3)}), MATRIX)


def test_three_dimensional_convolution() -> None:
    text = "g (float[1,2,5,6,7] x) => (float[1,3,3,4,5] y) { y = Conv(x, w) }"
    check(make_model(text, {"w": normal(3, 2, 3, 3, 3)}), MATRIX)


@pytest.mark.parametrize("group", [1, 2])
def test_transposed_convolution(group: int) -> None:
    text = (
        "g (float[1,8,7,7] x) => (float[1,6,14,14] y) "
        f"{{ y = ConvTranspose<strides=[2,2], pads=[1,1,1,1], group={group}>(x, w) }}"
    )
    check(make_model(text, {"w": normal(8, 6 // group, 4, 4)}), MATRIX)
