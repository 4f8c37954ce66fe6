"""Static quantisation of a float model, given the ranges of its tensors, by ONNX Runtime.

Weights become int8 per output channel and symmetric, biases int32, activations uint8 per tensor:
what the integer kernels and the NPU's partitioner compute without a conversion. The result is in
QDQ form.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_infer_metadata

from hetcomp.errors import ModelError

from .exclusions import unbounded
from .operators import ACTIVATIONS, ARITHMETIC, operators
from .ranges import Ranges

__all__ = ["quantize"]


def quantize(
    model: onnx.ModelProto, ranges: Ranges, keep_float: Collection[str] = ()
) -> onnx.ModelProto:
    """A float model in QDQ form; `model` stays as it is.

    Parameters
    ----------
    model
        As `float_model` makes it.
    ranges
        Of the tensors of `model`. What reads or writes others stays in float.
    keep_float
        Names of nodes that stay in float. What lies between one of them and a quantised operator
        is still quantised, for that one.

    Raises
    ------
    ModelError
        ONNX Runtime cannot quantise it.
    """
    source = onnx.ModelProto()
    source.CopyFrom(model)
    add_infer_metadata(source)  # types are known: or else the quantiser infers them by files
    limits = {
        name: (np.asarray(low, np.float32), np.asarray(high, np.float32))
        for name, (low, high) in ranges.items()
    }
    excluded = {*keep_float, *unbounded(model, ranges)}
    chosen = [node.name for node in operators(model) if node.name not in excluded]
    if not chosen:
        return source
    try:
        quantizer = QDQQuantizer(
            source,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, limits),
            nodes_to_quantize=[],
            nodes_to_exclude=sorted(excluded),
            op_types_to_quantize=[*ARITHMETIC, *ACTIVATIONS],
            extra_options={},
        )
        quantizer.quantize_model()
    except Exception as error:  # ONNX Runtime has no common base of its exceptions
        raise ModelError(f"ONNX Runtime cannot quantise the model: {error}") from error
    quantizer.model.topological_sort()
    result: onnx.ModelProto = quantizer.model.model
    return result
