"""Channel shuffles against ONNX Runtime, under every cut."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_harness import MATRIX, check, make_model, normal

from hetcomp.schedules.facts import CpuFacts, DeviceFacts


@pytest.mark.parametrize("facts", [CpuFacts.AVX512, CpuFacts.AVX2, CpuFacts.SSE], ids=str)
@pytest.mark.parametrize("channels", [2, 18, 58])
def test_shuffle(channels: int, facts: DeviceFacts) -> None:
    both, cut = 2 * channels, channels - 1
    text = f"""g (float[1,{channels},6,9] x)
        => (float[1,{cut},6,9] y, float[1,{both - cut},6,9] z) {{
        a = Conv(x, w) b = Relu(a) j = Concat<axis=1>(a, b) g = Reshape(j, groups)
        t = Transpose<perm=[0,2,1,3,4]>(g) s = Reshape(t, joined) p, q = Split<axis=1>(s, parts)
        y = Conv(p, v) z = Neg(q) }}"""
    weights = {
        "w": normal(channels, channels, 1, 1),
        "v": normal(cut, cut, 1, 1),
        "groups": np.array([1, 2, channels, 6, 9]),
        "joined": np.array([1, both, 6, 9]),
        "parts": np.array([cut, both - cut]),
    }
    check(make_model(text, weights), MATRIX, facts=facts)
