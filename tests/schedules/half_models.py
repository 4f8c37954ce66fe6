"""Models whose tensors are float16, made of models in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from kernel_harness import Array
from onnx import TensorProto, numpy_helper

__all__ = ["half_feeds", "rounded", "rounded_model", "to_half", "to_half_model"]

_SCALES = {"Resize": 2}
"""Input that stays float32, by operator."""


def to_half(array: Array) -> Array:
    """`array` in float16 if it is float32."""
    with np.errstate(over="ignore"):
        return array.astype(np.float16) if array.dtype == np.float32 else array


def rounded(array: Array) -> Array:
    """`array` with numbers that float16 has, if it is float32."""
    return to_half(array).astype(np.float32) if array.dtype == np.float32 else array


def half_feeds(feeds: Mapping[str, Array]) -> dict[str, Array]:
    """`feeds` in float16."""
    return {name: to_half(array) for name, array in feeds.items()}


def rounded_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` in float32 with weights that float16 has."""
    copy = _copy(model)
    for weight in copy.graph.initializer:
        _change(weight, rounded)
    return copy


def to_half_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with float16 for float32: inputs, outputs, weights, and what it casts to."""
    half = _copy(model)
    graph = half.graph
    del graph.value_info[:]
    kept = {node.input[_SCALES[node.op_type]] for node in graph.node if node.op_type in _SCALES}
    for weight in graph.initializer:
        if weight.name not in kept:
            _change(weight, to_half)
    for value in (*graph.input, *graph.output):
        kind = value.type.tensor_type
        if kind.elem_type == TensorProto.FLOAT:
            kind.elem_type = TensorProto.FLOAT16
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _change(attribute.t, to_half)
            elif node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
    return half


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _change(tensor: onnx.TensorProto, function: Callable[[Array], Array]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(function(numpy_helper.to_array(tensor)), tensor.name))
