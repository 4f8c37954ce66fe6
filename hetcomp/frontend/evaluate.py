"""Evaluate one node whose inputs are all constant, in NumPy.

Not evaluated: what is random, control flow, ``DequantizeLinear`` (weights stay quantised), and
what would blow a small constant up to a large one.
"""

import logging
import math
import warnings

import numpy as np
import onnx

from hetcomp.frontend.values import Values, is_onnx_domain

__all__ = ["evaluate"]

_log = logging.getLogger(__name__)

_NEVER = frozenset(
    {
        "RandomNormal",
        "RandomUniform",
        "RandomNormalLike",
        "RandomUniformLike",
        "Bernoulli",
        "Multinomial",
        "DequantizeLinear",
        "If",
        "Loop",
        "Scan",
        "SequenceMap",
    }
)
_GROWTH_LIMIT = 1 << 20  # elements a fold may add: 4 MiB of float32


def evaluate(node: onnx.NodeProto, values: Values) -> list[np.ndarray] | None:
    """Return the constant outputs of `node`, or None where it must stay in the graph."""
    if not is_onnx_domain(node.domain) or node.op_type in _NEVER:
        return None
    if node.op_type in ("Shape", "Size"):
        return _shape_or_size(node, values)
    if any(name and name not in values.constants for name in node.input):
        return None
    if node.op_type == "Constant":
        return _constant(node)
    if not all(node.output) or _grows(node, values):
        return None
    return _reference(node, values)


def _shape_or_size(node: onnx.NodeProto, values: Values) -> list[np.ndarray] | None:
    dims = values.dims(node.input[0])
    if dims is None:
        return None
    if node.op_type == "Size":
        return [np.array(math.prod(dims), np.int64)]
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    return [np.array(dims[bounds.get("start", 0) : bounds.get("end", len(dims))], np.int64)]


def _constant(node: onnx.NodeProto) -> list[np.ndarray] | None:
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.name == "value":
            return [onnx.numpy_helper.to_array(value)]
        if attribute.name in ("value_int", "value_ints"):
            return [np.array(value, np.int64)]
        if attribute.name in ("value_float", "value_floats"):
            return [np.array(value, np.float32)]
    return None  # strings and sparse tensors: the check refuses them


def _elements(dims: tuple[int, ...] | None) -> int:
    return 0 if dims is None else math.prod(dims)


def _grows(node: onnx.NodeProto, values: Values) -> bool:
    before = sum(_elements(values.dims(name)) for name in node.input if name)
    after = sum(_elements(values.dims(name)) for name in node.output)
    return after > before + _GROWTH_LIMIT


def _reference(node: onnx.NodeProto, values: Values) -> list[np.ndarray] | None:
    from onnx.reference import ReferenceEvaluator  # 12 MB that many models need not

    model = values.model_of([node], list(node.output), limit=1 << 62)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(model).run(None, {})
    except Exception:  # the evaluator raises anything; nothing is lost, the node stays as it is
        _log.debug("%s '%s' stays in the graph", node.op_type, node.name, exc_info=True)
        return None
    arrays = [np.asarray(result) for result in results]
    return arrays if _as_inferred(node, arrays, values) else None


def _as_inferred(node: onnx.NodeProto, arrays: list[np.ndarray], values: Values) -> bool:
    """Whether shapes and types agree with shape inference: a check on the evaluator."""
    for name, array in zip(node.output, arrays, strict=True):
        kind = values.types.get(name)
        if kind is None or array.dtype == object:
            return False
        expected = onnx.helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type)
        if array.dtype != expected or values.dims(name) not in (None, array.shape):
            return False
    return True
