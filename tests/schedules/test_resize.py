"""Bilinear resizes to NCHW against ONNX Runtime, under every cut."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_harness import MATRIX, check, make_model, normal

from hetcomp.schedules.facts import CpuFacts, DeviceFacts

MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


@pytest.mark.parametrize("facts", [CpuFacts.AVX512, CpuFacts.AVX2, CpuFacts.SSE], ids=str)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("channels", "before", "after"),
    [(21, (17, 17), (65, 257)), (3, (5, 7), (11, 20)), (5, (3, 2), (9, 8)), (2, (6, 20), (5, 21))],
)
def test_bilinear(
    channels: int, before: tuple[int, int], after: tuple[int, int], mode: str, facts: DeviceFacts
) -> None:
    mode = f'mode="linear", coordinate_transformation_mode="{mode}"'
    text = f"""g (float[1,{channels},{before[0]},{before[1]}] x)
        => (float[1,{channels},{after[0]},{after[1]}] y)
        {{ a = Conv(x, w) y = Resize<{mode}>(a, none, none, size) }}"""
    weights = {
        "w": normal(channels, channels, 1, 1),
        "none": np.zeros(0, np.float32),
        "size": np.array([1, channels, *after]),
    }
    check(make_model(text, weights), 2 * MATRIX, facts=facts)
