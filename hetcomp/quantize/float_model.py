"""A float model as the quantiser wants it: weights inside, a recent operator set, nodes named."""

from __future__ import annotations

import hashlib

import onnx

from hetcomp.errors import InputError, ModelError
from hetcomp.frontend import ImportedModel
from hetcomp.frontend.weights import data_bytes

from .batch_norm import fold_batch_norms
from .operators import operators

__all__ = ["digest", "float_model"]

_MIN_OPSET = 13
"""The first in which QuantizeLinear has an axis."""
_MAX_BYTES = 2**31 - 2**20
"""Protobuf's limit, less the graph."""


def float_model(imported: ImportedModel) -> onnx.ModelProto:
    """The float model behind an import, which stays as it is.

    Raises
    ------
    InputError
        The model is in QDQ form already, has nothing to quantise, or passes 2 GB.
    """
    kinds = {node.op_type for node in imported.model.graph.node}
    if "DequantizeLinear" in kinds:
        raise InputError(
            f"model '{imported.name}' is quantised already; compile it without calibration data"
        )
    size = sum(data_bytes(tensor) for tensor in imported.model.graph.initializer)
    if size > _MAX_BYTES:
        raise InputError(
            f"model '{imported.name}' has {size / 2**30:.1f} GB of weights; ONNX Runtime's "
            "quantiser takes models up to 2 GB: quantise it where it was trained, in QDQ form"
        )
    model = onnx.ModelProto()
    model.CopyFrom(imported.model)
    tensors = [imported.weights.inline(tensor) for tensor in model.graph.initializer]
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)
    fold_batch_norms(model)
    model = _recent(model)
    if not operators(model):
        raise InputError(f"model '{imported.name}' has no float32 operator that can be quantised")
    return model


def digest(model: onnx.ModelProto) -> str:
    """Tells float models apart."""
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _recent(model: onnx.ModelProto) -> onnx.ModelProto:
    opset = next(item for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if opset.version >= _MIN_OPSET:
        return model
    try:
        converted = onnx.version_converter.convert_version(model, _MIN_OPSET)
        return onnx.shape_inference.infer_shapes(converted)
    except Exception as error:  # a pybind11 module: the exception types are not documented
        raise ModelError(
            f"the model has operator set {opset.version}, quantisation wants {_MIN_OPSET}, and "
            f"onnx cannot convert it: {error}; export it again"
        ) from error
