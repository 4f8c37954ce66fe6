"""A model in ONNX Runtime, any of whose tensors can be asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnxruntime

from hetcomp.errors import ModelError

from .samples import Array

__all__ = ["Network"]


class Network:
    """A session that computes what the model says, operator by operator.

    Nothing is optimised: ONNX Runtime would round the weights of an operator that was kept in
    float between quantised ones, and its fused operators deviate in places (its softmax of bytes
    is a table); what we compile does neither.

    Parameters
    ----------
    model
        The model.
    tensors
        Names of tensors that will be asked for, besides its outputs.

    Raises
    ------
    ModelError
        ONNX Runtime cannot load it.
    """

    def __init__(self, model: onnx.ModelProto, tensors: Sequence[str] = ()) -> None:
        self.outputs = tuple(output.name for output in model.graph.output)
        extended = onnx.ModelProto()
        extended.CopyFrom(model)
        extended.graph.output.extend(
            onnx.ValueInfoProto(name=name)
            for name in dict.fromkeys(tensors)
            if name not in self.outputs
        )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = onnxruntime.InferenceSession(
                extended.SerializeToString(), options, ["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has no common base of its exceptions
            raise ModelError(f"ONNX Runtime cannot load the model: {error}") from error

    def run(self, sample: Mapping[str, Array], tensors: Sequence[str]) -> dict[str, Array]:
        """Values of `tensors`."""
        return dict(zip(tensors, self._session.run(list(tensors), dict(sample)), strict=True))
