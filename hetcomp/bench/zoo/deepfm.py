"""DeepFM (Guo et al., 2017): click prediction from categories and numbers."""

from __future__ import annotations

import numpy as np

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Init, Tensor

_FIELDS = 26
_DENSE_FEATURES = 13
_VALUES_PER_FIELD = 10000
_FACTORS = 16
_HIDDEN = (400, 400, 400)
_TABLE = Init(std=0.1)


def _pairwise(g: NetBuilder, factors: Tensor) -> Tensor:
    """Sum the products of all pairs of fields: half of (square of sum - sum of squares)."""
    with g.scope("fm"):
        fields, features = g.integers("fields", [1]), g.integers("features", [1])
        total = g.op("ReduceSum", factors, fields, keepdims=0, name="sum")
        squares = g.op("ReduceSum", g.mul(factors, factors), fields, keepdims=0, name="squares")
        difference = g.op("Sub", g.mul(total, total, name="square_of_sum"), squares, name="sub")
        pairs = g.op("ReduceSum", difference, features, keepdims=1, name="pairs")
        return g.mul(pairs, g.scalar(0.5), name="half")


def _first_order(g: NetBuilder, weights: Tensor) -> Tensor:
    axes = g.integers("first_order.axes", [1, 2])
    summed = g.op("ReduceSum", weights, axes, keepdims=0, name="first_order.sum")
    return g.reshape(summed, [weights.shape[0], 1], name="first_order")


def _deep(g: NetBuilder, factors: Tensor, dense: Tensor) -> Tensor:
    with g.scope("deep"):
        x = g.concat([g.flatten(factors), dense])
        for index, features in enumerate(_HIDDEN):
            x = g.gemm(f"fc{index + 1}", x, g.channels(features), "relu")
        return g.gemm("out", x, 1)


def deepfm(g: NetBuilder, batch: int) -> None:
    """Define DeepFM; probabilities [batch, 1]."""
    values = g.channels(_VALUES_PER_FIELD)
    ids = g.index_input("ids", (batch, _FIELDS), 0, values)
    dense = g.input("dense", (batch, _DENSE_FEATURES))
    offsets = g.constant("offsets", np.arange(_FIELDS, dtype=np.int64)[None] * values)
    rows = g.add(ids, offsets, name="rows")
    factors = g.parameter("factors.weight", (_FIELDS * values, g.channels(_FACTORS)), _TABLE)
    weights = g.parameter("first_order.weight", (_FIELDS * values, 1), _TABLE)
    embedded = g.op("Gather", factors, rows, name="factors")
    linear = _first_order(g, g.op("Gather", weights, rows, name="first_order.weights"))
    total = g.add(g.add(_deep(g, embedded, dense), _pairwise(g, embedded)), linear)
    g.output("probability", g.activation("probability", total, "sigmoid"))
