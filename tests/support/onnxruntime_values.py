"""Every quantised value of a QDQ model, as ONNX Runtime computes it.

ONNX Runtime's int8 operators round as ours do, except its softmax: a table of integers, off by a
quantum from what the model says. So softmax is kept in floats, by an `Identity` behind it. Behind
operators in floats the last bit of one decides some roundings: there a few values may be a quantum
off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime

__all__ = ["assert_same_values", "onnxruntime_layers", "onnxruntime_values"]

SHARE_OFF = 1e-3
"""Share of values that may be a quantum off."""
FLOAT_TOLERANCE = 1e-5
"""Relative to the largest value: outputs behind a last float operator."""


def onnxruntime_values(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """All outputs."""
    copy = _copied(model)
    for node in model.graph.node:
        _append(copy, node)
    return _run(copy, feeds)


def onnxruntime_layers(model: onnx.ModelProto, given: Mapping[str, Any]) -> dict[str, Any]:
    """All outputs, each layer on `given` values: of the inputs and of every `QuantizeLinear`."""
    copy = _copied(model)
    kinds = {info.name: info for info in model.graph.output}
    made = {name for node in model.graph.node for name in node.output} & given.keys() & kinds.keys()
    for name in made:
        info = copy.graph.input.add()
        info.CopyFrom(kinds[name])
        info.name = f"{name}_given"
    for node in model.graph.node:
        moved = onnx.NodeProto()
        moved.CopyFrom(node)
        moved.input[:] = [f"{name}_given" if name in made else name for name in node.input]
        _append(copy, moved)
    feeds = {f"{name}_given" if name in made else name: array for name, array in given.items()}
    names = {info.name for info in copy.graph.input}
    return _run(copy, {name: array for name, array in feeds.items() if name in names})


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without its nodes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    return copy


def _append(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Add a copy of `node`; of a softmax, one of which nothing makes an operator on integers."""
    model.graph.node.append(node)
    if node.op_type == "Softmax":
        (output,) = node.output
        model.graph.node[-1].output[0] = f"{output}_floats"
        model.graph.node.append(onnx.helper.make_node("Identity", [f"{output}_floats"], [output]))


def _run(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["EliminateIdentity"],
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


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
