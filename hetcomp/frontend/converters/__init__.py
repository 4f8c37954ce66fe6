"""Our own ONNX converters, by operator; the others are TVM's.

A converter takes a ``NodeContext`` and returns a Relax expression, or None to leave the node to
TVM's converter (for a form that it does not improve on).
"""

from collections.abc import Callable
from typing import Any

from hetcomp.frontend.converters import activation, arithmetic, shape, spatial
from hetcomp.frontend.converters.context import NodeContext

__all__ = ["CONVERTERS", "NodeContext"]

CONVERTERS: dict[str, Callable[[NodeContext], Any]] = {
    "Celu": activation.celu,
    "Clip": activation.clip,
    "Expand": shape.expand,
    "Flatten": shape.reshape,
    "Gather": shape.gather,
    "Gemm": arithmetic.gemm,
    "HardSwish": activation.hard_swish,
    "IsInf": arithmetic.is_inf,
    "Max": arithmetic.maximum,
    "Mean": arithmetic.mean,
    "Min": arithmetic.minimum,
    "Mish": activation.mish,
    "PRelu": activation.prelu,
    "Pad": shape.pad,
    "Pow": arithmetic.power,
    "RMSNormalization": arithmetic.rms_norm,
    "Reshape": shape.reshape,
    "Resize": spatial.resize,
    "Slice": shape.strided_slice,
    "Softmax": activation.softmax,
    "SpaceToDepth": shape.space_to_depth,
    "Split": shape.split,
    "Sum": arithmetic.add_all,
    "Swish": activation.swish,
    "Tanh": activation.tanh,
    "Upsample": spatial.resize,
}
