"""Every quantised value of a QDQ model, as ONNX Runtime computes it.

ONNX Runtime's fused int8 operators round as ours do, except its softmax, which is a table of
integers and differs from what the model says by a quantum; so a network with a softmax is compared
with ONNX Runtime's unfused operators. Behind operators that stay in float32 the last bit of a
float decides some roundings: there a few values may be a quantum off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime

__all__ = ["assert_same_values", "onnxruntime_values"]

SHARE_OFF = 1e-3
"""Share of values that may be a quantum off."""
FLOAT_TOLERANCE = 1e-5
"""Relative to the largest value: outputs behind a last float operator."""


def onnxruntime_values(
    model: onnx.ModelProto, feeds: dict[str, Any], *, fused: bool
) -> dict[str, Any]:
    """All outputs, of int8 operators or of what the model says word by word."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not fused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def assert_same_values(got: dict[str, Any], expected: dict[str, Any], *, exact: bool) -> None:
    """Integers are the same, or few of them a quantum off; floats are close."""
    for name, want in expected.items():
        if want.dtype.kind == "f":
            limit = FLOAT_TOLERANCE * float(np.abs(want).max())
            np.testing.assert_allclose(got[name], want, rtol=0, atol=limit, err_msg=name)
            continue
        off = np.abs(got[name].astype(np.int32) - want)
        assert off.max(initial=0) <= (0 if exact else 1), name
        assert (off > 0).mean() <= SHARE_OFF, name
