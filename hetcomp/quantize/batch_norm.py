"""Fold batch normalisations into the convolutions before them, so that both become one product."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["fold_batch_norms"]

Array = np.ndarray[Any, Any]


def fold_batch_norms(model: onnx.ModelProto) -> None:
    """Rewrite `model`, in place, where a convolution's output goes to a normalisation alone."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(output.name for output in graph.output)
    makers = {output: node for node in graph.node for output in node.output}
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        conv = makers.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or readers[norm.input[0]] != 1:
            continue
        names = [*conv.input[1:], *norm.input[1:]]
        if not constants.keys() >= set(names) or len(norm.output) != 1:
            continue
        arrays = [numpy_helper.to_array(constants[name]) for name in names]
        if any(array.dtype != np.float32 for array in arrays):
            continue
        weights, bias = _folded(arrays[0], arrays[1:-4], _Norm.read(norm, arrays[-4:]))
        _replace(graph, conv, norm, weights, bias)


@dataclass(frozen=True)
class _Norm:
    """`y = factor * x + offset` per channel."""

    factor: Array
    offset: Array

    @staticmethod
    def read(node: onnx.NodeProto, arrays: list[Array]) -> _Norm:
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        scale, shift, mean, variance = (array.astype(np.float64) for array in arrays)
        factor = scale / np.sqrt(variance + epsilon)
        return _Norm(factor, shift - mean * factor)


def _folded(weights: Array, bias: list[Array], norm: _Norm) -> tuple[Array, Array]:
    factor = norm.factor.reshape(-1, *(1,) * (weights.ndim - 1))
    moved = norm.offset + (bias[0] * norm.factor if bias else 0.0)
    return (weights * factor).astype(np.float32), moved.astype(np.float32)


def _replace(
    graph: onnx.GraphProto, conv: onnx.NodeProto, norm: onnx.NodeProto, weights: Array, bias: Array
) -> None:
    """Let `conv` compute what `norm` did, with constants of its own: others may read the old."""
    names = [f"{norm.output[0]}_folded_{part}" for part in ("weights", "bias")]
    for name, array in zip(names, (weights, bias), strict=True):
        graph.initializer.append(numpy_helper.from_array(array, name))
    del conv.input[1:]
    conv.input.extend(names)
    conv.output[0] = norm.output[0]
    graph.node.remove(norm)
