"""Inserts int8 QuantizeLinear/DequantizeLinear pairs, by ONNX Runtime's static quantiser.

Weights are int8 per channel and symmetric, biases int32, activations uint8 per tensor; ReLUs
vanish into the quantisation that follows them. Calibrated on one random input, so scales are
plausible but accuracy on real data means nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from hetcomp.bench.zoo.graph import Array
from hetcomp.bench.zoo.inputs import random_inputs

# Relu and Clip are listed so that the quantiser may remove them.
_QUANTIZED_OPERATORS = ["Conv", "Gemm", "MatMul", "Add", "Relu", "Clip"]


class _OneInput(CalibrationDataReader):  # type: ignore[misc]
    """Hands one set of inputs to the calibrator."""

    def __init__(self, inputs: dict[str, Array]) -> None:
        self._pending: dict[str, Array] | None = inputs

    def get_next(self) -> dict[str, Array] | None:
        """Return the inputs at the first call and None afterwards."""
        inputs, self._pending = self._pending, None
        return inputs


def quantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an int8 version of a zoo network; ``model`` stays as it is.

    Parameters
    ----------
    model
        A float model made by ``build``.

    Returns
    -------
    onnx.ModelProto
        The same network with QuantizeLinear/DequantizeLinear round Conv, Gemm, Add and MatMul
        with a constant operand.

    Examples
    --------
    >>> from hetcomp.bench import zoo
    >>> from hetcomp.bench.zoo.quantize import quantize
    >>> model = quantize(zoo.build("squeezenet", size=64, width=0.25))
    >>> "QuantizeLinear" in {node.op_type for node in model.graph.node}
    True
    """
    source = onnx.ModelProto()
    source.CopyFrom(model)
    # Shapes are static and batch normalisations folded: nothing is left for the pre-processing
    # that ONNX Runtime otherwise asks for in a warning.
    add_pre_process_metadata(source)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        quantize_static(
            source,
            path,
            _OneInput(random_inputs(model)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED_OPERATORS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(path)
