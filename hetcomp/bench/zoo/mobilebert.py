"""MobileBERT (Sun et al., 2020): narrow bottlenecks, no layer normalisation, stacked FFNs."""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NEAR_ONE, SMALL_BIAS, NetBuilder
from hetcomp.bench.zoo.graph import Init, Tensor
from hetcomp.bench.zoo.transformers import attention, attention_mask

_LAYERS = 24
_HEADS = 4
_HIDDEN = 512
_HEAD_FEATURES = 32
_VOCABULARY = 30522
_FEED_FORWARDS = 4
# Nothing normalises: the scale after a residual sum keeps the variance near 1.
_SUM_SCALE = Init(mean=0.75, std=0.05)


def _no_norm(g: NetBuilder, name: str, x: Tensor, scale_init: Init = NEAR_ONE) -> Tensor:
    """Apply the learned scale and shift that MobileBERT has in place of normalisation."""
    shape = (x.shape[-1],)
    scale = g.parameter(f"{name}.weight", shape, scale_init)
    shift = g.parameter(f"{name}.bias", shape, SMALL_BIAS)
    return g.add(g.mul(x, scale, name=f"{name}.mul"), shift, name=f"{name}.add")


def _shifted(g: NetBuilder, name: str, x: Tensor, offset: int) -> Tensor:
    """Move ``x`` along its tokens by ``offset`` (1 or -1), zeros at the free end."""
    tokens = x.shape[1]
    start, end = (1, tokens) if offset < 0 else (0, tokens - 1)
    pads = [0, 0, 0, 0, 1, 0] if offset < 0 else [0, 1, 0, 0, 0, 0]
    with g.scope(name):
        starts, ends = g.integers("start", [start]), g.integers("end", [end])
        part = g.op("Slice", x, starts, ends, g.integers("axis", [1]), name="slice")
        return g.op("Pad", part, g.integers("pads", pads), name="pad")


def _embeddings(g: NetBuilder, ids: Tensor, vocabulary: int, features: int, hidden: int) -> Tensor:
    """Embed narrowly, then join each token with its neighbours and widen."""
    with g.scope("embeddings"):
        x = g.embedding("word_embeddings", ids, vocabulary, features, std=1.0)
        x = g.concat([_shifted(g, "next", x, -1), x, _shifted(g, "previous", x, 1)], axis=2)
        return _no_norm(g, "norm", g.linear("transform", x, hidden))


def _layer(g: NetBuilder, x: Tensor, mask_term: Tensor, inner: int) -> Tensor:
    hidden = x.shape[-1]
    reduced = _no_norm(g, "bottleneck.input.norm", g.linear("bottleneck.input", x, inner))
    shared = _no_norm(g, "bottleneck.shared.norm", g.linear("bottleneck.shared", x, inner))
    with g.scope("attention"):
        query = g.linear("query", shared, inner)
        key = g.linear("key", shared, inner)
        value = g.linear("value", x, inner)
        y = g.linear("output", attention(g, query, key, value, _HEADS, mask_term), inner)
        y = _no_norm(g, "norm", g.add(y, reduced), _SUM_SCALE)
    for index in range(_FEED_FORWARDS):
        with g.scope(f"ffn{index}"):
            z = g.linear("output", g.linear("intermediate", y, hidden, act="relu"), inner)
            y = _no_norm(g, "norm", g.add(z, y), _SUM_SCALE)
    y = g.linear("output", y, hidden)
    return _no_norm(g, "norm", g.add(y, x), _SUM_SCALE)


def mobilebert(g: NetBuilder, tokens: int) -> None:
    """Define MobileBERT (24 layers, 512 wide, bottlenecks of 128)."""
    vocabulary, hidden = g.channels(_VOCABULARY), g.channels(_HIDDEN)
    inner = _HEADS * g.channels(_HEAD_FEATURES)
    ids = g.index_input("input_ids", (1, tokens), 0, vocabulary)
    _, mask_term = attention_mask(g, tokens)
    x = _embeddings(g, ids, vocabulary, inner, hidden)
    for index in range(g.repeats(_LAYERS)):
        with g.scope(f"encoder.layer.{index}"):
            x = _layer(g, x, mask_term, inner)
    g.output("last_hidden_state", x)
