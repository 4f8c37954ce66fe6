"""BERT (base and tiny), GPT-2 and ViT-B/32.

The BERT encoder names its weights as Hugging Face checkpoints do, so a stored checkpoint can
fill it (see examples/04_sentence_embedding).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Init, Tensor

# Added to the scores of masked positions: exp() of it is exactly 0 in float32.
_MASKED = -1e4
_BERT_VOCABULARY = 30522
_GPT2_VOCABULARY = 50257
# The end of a residual branch is kept small where nothing normalises the sum.
_BRANCH_GAIN = 0.2


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT encoder; ``hidden`` is a multiple of ``heads``."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int = _BERT_VOCABULARY
    epsilon: float = 1e-12


def attention(
    g: NetBuilder, query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None
) -> Tensor:
    """Add multi-head attention on [batch, tokens, features].

    Parameters
    ----------
    g
        The builder.
    query, key, value
        The projected inputs.
    heads
        Number of heads; divides the features.
    mask
        Added to the scores [batch, heads, tokens, tokens], or None.
    """
    batch, tokens, features = value.shape
    scale = g.scalar(1 / math.sqrt(query.shape[2] // heads))
    with g.scope("attend"):
        q = _split_heads(g, "query", query, heads, (0, 2, 1, 3))
        k = _split_heads(g, "key", key, heads, (0, 2, 3, 1))
        v = _split_heads(g, "value", value, heads, (0, 2, 1, 3))
        scores = g.mul(g.op("MatMul", q, k, name="scores"), scale, name="scale")
        if mask is not None:
            scores = g.add(scores, mask, name="mask")
        shares = g.op("Softmax", scores, axis=-1, name="softmax")
        joined = g.transpose(g.op("MatMul", shares, v, name="mix"), [0, 2, 1, 3])
        return g.reshape(joined, [batch, tokens, features])


def _split_heads(g: NetBuilder, name: str, x: Tensor, heads: int, order: tuple[int, ...]) -> Tensor:
    batch, tokens, features = x.shape
    with g.scope(name):
        return g.transpose(g.reshape(x, [batch, tokens, heads, features // heads]), order)


def attention_mask(g: NetBuilder, tokens: int) -> tuple[Tensor, Tensor]:
    """Add the input ``attention_mask`` and return it with the term to add to the scores."""
    # Random inputs are drawn from [1, 2): no position is masked.
    mask = g.index_input("attention_mask", (1, tokens), 1, 2)
    with g.scope("mask"):
        wide = g.op("Unsqueeze", mask, g.integers("axes", [1, 2]), name="unsqueeze")
        kept = g.op("Cast", wide, to=1, name="cast")
        masked = g.op("Sub", g.scalar(1.0), kept, name="invert")
        return mask, g.mul(masked, g.scalar(_MASKED), name="term")


def bert_encoder(g: NetBuilder, ids: Tensor, mask_term: Tensor, config: BertConfig) -> Tensor:
    """Add a BERT encoder; its output is [1, tokens, hidden].

    Parameters
    ----------
    g
        The builder.
    ids
        Word indices, int64 [1, tokens].
    mask_term
        Added to the attention scores, [1, 1, 1, tokens].
    config
        The sizes.

    Notes
    -----
    ``embeddings.position`` is [1, tokens, hidden] and includes the embedding of token type 0.
    """
    hidden, tokens = config.hidden, ids.shape[1]
    with g.scope("embeddings"):
        x = g.embedding("word_embeddings", ids, config.vocabulary, hidden, std=0.5)
        x = g.add(x, g.parameter("position", (1, tokens, hidden), Init(std=0.1)))
        x = g.layer_norm("LayerNorm", x, config.epsilon)
    for index in range(config.layers):
        with g.scope(f"encoder.layer.{index}"):
            x = _bert_layer(g, x, mask_term, config)
    return x


def _bert_layer(g: NetBuilder, x: Tensor, mask_term: Tensor, config: BertConfig) -> Tensor:
    hidden, epsilon = config.hidden, config.epsilon
    with g.scope("attention"):
        query = g.linear("self.query", x, hidden)
        key = g.linear("self.key", x, hidden)
        value = g.linear("self.value", x, hidden)
        y = attention(g, query, key, value, config.heads, mask_term)
        y = g.linear("output.dense", y, hidden)
        x = g.layer_norm("output.LayerNorm", g.add(y, x), epsilon)
    y = g.linear("intermediate.dense", x, config.feed_forward, act="gelu")
    y = g.linear("output.dense", y, hidden)
    return g.layer_norm("output.LayerNorm", g.add(y, x), epsilon)


def _bert(g: NetBuilder, tokens: int, layers: int, heads: int) -> None:
    hidden = heads * g.channels(64)
    vocabulary = g.channels(_BERT_VOCABULARY)
    ids = g.index_input("input_ids", (1, tokens), 0, vocabulary)
    _, mask_term = attention_mask(g, tokens)
    config = BertConfig(g.repeats(layers), hidden, heads, 4 * hidden, vocabulary)
    g.output("last_hidden_state", bert_encoder(g, ids, mask_term, config))


def bert_base(g: NetBuilder, tokens: int) -> None:
    """Define BERT-base (12 layers, 768 wide)."""
    _bert(g, tokens, layers=12, heads=12)


def bert_tiny(g: NetBuilder, tokens: int) -> None:
    """Define BERT-tiny (2 layers, 128 wide)."""
    _bert(g, tokens, layers=2, heads=2)


def _feed_forward(g: NetBuilder, x: Tensor, act: str) -> Tensor:
    hidden = x.shape[-1]
    y = g.linear("mlp.fc1", x, 4 * hidden, act=act)
    return g.linear("mlp.fc2", y, hidden, gain=_BRANCH_GAIN)


def _gpt2_layer(g: NetBuilder, x: Tensor, mask: Tensor, heads: int) -> Tensor:
    hidden = x.shape[-1]
    y = g.linear("attn.c_attn", g.layer_norm("ln_1", x), 3 * hidden)
    query, key, value = g.split(y, [hidden, hidden, hidden], axis=2)
    y = attention(g, query, key, value, heads, mask)
    x = g.add(g.linear("attn.c_proj", y, hidden, gain=_BRANCH_GAIN), x)
    return g.add(_feed_forward(g, g.layer_norm("ln_2", x), "gelu_tanh"), x)


def gpt2(g: NetBuilder, tokens: int) -> None:
    """Define GPT-2 small, prefill of a fixed number of tokens; the head shares the embedding."""
    heads = 12
    hidden = heads * g.channels(64)
    vocabulary = g.channels(_GPT2_VOCABULARY)
    ids = g.index_input("input_ids", (1, tokens), 0, vocabulary)
    table = g.parameter("wte.weight", (vocabulary, hidden), Init(std=0.5))
    x = g.op("Gather", table, ids, name="wte")
    x = g.add(x, g.parameter("wpe.weight", (1, tokens, hidden), Init(std=0.1)))
    future = np.triu(np.full((1, 1, tokens, tokens), _MASKED, dtype=np.float32), 1)
    mask = g.constant("causal_mask", future)
    for index in range(g.repeats(12)):
        with g.scope(f"h.{index}"):
            x = _gpt2_layer(g, x, mask, heads)
    x = g.layer_norm("ln_f", x)
    head = g.transpose(table, [1, 0], name="lm_head.transpose")
    g.output("logits", g.op("MatMul", x, head, name="lm_head"))


def _vit_layer(g: NetBuilder, x: Tensor, heads: int) -> Tensor:
    hidden = x.shape[-1]
    y = g.layer_norm("ln_1", x)
    query = g.linear("attn.query", y, hidden)
    key = g.linear("attn.key", y, hidden)
    value = g.linear("attn.value", y, hidden)
    y = attention(g, query, key, value, heads, None)
    x = g.add(g.linear("attn.out", y, hidden, gain=_BRANCH_GAIN), x)
    return g.add(_feed_forward(g, g.layer_norm("ln_2", x), "gelu"), x)


def vit_b32(g: NetBuilder, size: int) -> None:
    """Define ViT-B/32; ``size`` is rounded down to whole patches of 32 pixels by the stem."""
    heads = 12
    hidden = heads * g.channels(64)
    x = g.conv(
        "patches",
        g.input("x", (1, 3, size, size)),
        hidden,
        32,
        stride=32,
        padding=0,
        gain=1.0,
    )
    patches = x.shape[2] * x.shape[3]
    x = g.transpose(g.reshape(x, [1, hidden, patches]), [0, 2, 1])
    x = g.concat([g.parameter("class_token", (1, 1, hidden), Init()), x])
    x = g.add(x, g.parameter("position", (1, patches + 1, hidden), Init(std=0.02)))
    for index in range(g.repeats(12)):
        with g.scope(f"layer{index}"):
            x = _vit_layer(g, x, heads)
    first = g.constant("first", np.array(0, dtype=np.int64))
    x = g.op("Gather", g.layer_norm("ln_f", x), first, axis=1, name="class_token.take")
    g.output("logits", g.gemm("classifier", x, 1000))
