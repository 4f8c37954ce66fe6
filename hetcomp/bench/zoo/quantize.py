"""Inserts int8 QuantizeLinear/DequantizeLinear pairs, as `compile --calibrate` does.

Calibrated on one random input, so scales are plausible but accuracy on real data means nothing.
"""

from __future__ import annotations

import onnx

from hetcomp import quantize as static
from hetcomp.bench.zoo.inputs import random_inputs


def quantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an int8 version of a zoo network; ``model`` stays as it is.

    Parameters
    ----------
    model
        A float model made by ``build``.

    Returns
    -------
    onnx.ModelProto
        The same network with QuantizeLinear/DequantizeLinear round Conv, Gemm, Add and MatMul.

    Examples
    --------
    >>> from hetcomp.bench import zoo
    >>> from hetcomp.bench.zoo.quantize import quantize
    >>> model = quantize(zoo.build("squeezenet", size=64, width=0.25))
    >>> "QuantizeLinear" in {node.op_type for node in model.graph.node}
    True
    """
    # Shapes are static and batch normalisations folded: only types are missing.
    typed = onnx.shape_inference.infer_shapes(model)
    return static.quantize(typed, static.calibrate(typed, [random_inputs(model)]))
