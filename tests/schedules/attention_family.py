"""Random fused attention with f64 oracle and error bound, as a strategy of hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_harness import Array, make_model
from layer_case import EPS, TINY, Case, Expected, dims, values


@st.composite
def attention(draw: Any) -> Case:
    """Softmax of scaled and masked scores, times values; `k` as stored by rows or by columns."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lead = (draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    m, n, depth, width = (draw(st.integers(1, 50)) for _ in range(4))
    scale = 2.0 ** draw(st.integers(-3, 3))
    shapes = {"q": (*lead, m, depth), "k": (*lead, depth, n), "v": (*lead, n, width)}
    feeds = {name: values(rng, shape, "normal") for name, shape in shapes.items()}
    hidden = np.float32(draw(st.sampled_from([0.0, -1e4, -np.inf])))
    mask = np.where(rng.random((m, n)) < 0.3, hidden, np.float32(0.0))
    mask[:, -1] = 0.0  # every row sees a key
    expected = attended(*(feeds[name].astype(np.float64) for name in "qkv"), scale, mask)
    text = "t = MatMul(q, k)"
    if draw(st.booleans()):
        feeds["k"] = np.ascontiguousarray(np.swapaxes(feeds["k"], 2, 3))
        text = "j = Transpose<perm=[0,1,3,2]>(k) t = MatMul(q, j)"
    head = ", ".join(f"float[{dims(*array.shape)}] {name}" for name, array in feeds.items())
    steps = f"{text} a = Mul(t, c) l = Add(a, mask) p = Softmax<axis=-1>(l) y = MatMul(p, v)"
    out = f"float[{dims(*expected.exact.shape)}] y"
    weights = {"c": np.float32(scale), "mask": mask}
    model = make_model(f"g ({head}) => ({out}) {{ {steps} }}", weights)
    return Case(model, feeds, (expected,), frozenset({"attention"}))


def attended(q: Array, k: Array, v: Array, scale: float, mask: Array) -> Expected:
    """An error of the scores counts twice in the weights, in a numerator and in their sum."""
    scores = q @ k
    off = np.abs(scale) * (q.shape[-1] + 4) * EPS * (np.abs(q) @ np.abs(k))
    logits = scale * scores + mask
    off = np.where(np.isfinite(logits), off + 4 * EPS * np.abs(logits), 0.0)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    weights = np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)
    keys = v.shape[-2]
    relative = np.expm1(2.0 * off.max(axis=-1, keepdims=True))
    relative = relative + (np.minimum(-shifted, 110.0) + 2 * keys + 20) * EPS
    return Expected(weights @ v, (weights * relative) @ np.abs(v) + keys * TINY * np.abs(v).max())
