"""Which tensors of the float and of the quantised model a task of the compiled one computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

__all__ = ["RENAMED", "TaskValue", "task_values"]

RENAMED = "_QuantizeLinear_Input"
"""What the quantiser appends to a tensor that is an output and is quantised before."""


@dataclass(frozen=True)
class TaskValue:
    """One value in both models.

    Attributes
    ----------
    float_name
        Tensor of the float model.
    name
        Tensor of the quantised model, as float32.
    quantized
        Whether it is rounded to 8 bits there.
    """

    float_name: str
    name: str
    quantized: bool


def task_values(
    float_model: onnx.ModelProto, quantized: onnx.ModelProto, sources: Sequence[Sequence[str]]
) -> tuple[TaskValue | None, ...]:
    """For each task, given the names of its nodes, the last value it computes of the float model.

    None where it computes none, as what only packs or moves bytes for another task.
    """
    graph = _Graph(float_model, quantized)
    return tuple(graph.last_value(names) for names in sources)


class _Graph:
    def __init__(self, float_model: onnx.ModelProto, quantized: onnx.ModelProto) -> None:
        nodes = quantized.graph.node
        self._nodes = {node.name: node for node in nodes}
        self._place = {node.name: place for place, node in enumerate(nodes)}
        self._makers = {name: node for node in nodes for name in node.output}
        self._dequantized = {
            node.input[0]: node.output[0] for node in nodes if node.op_type == "DequantizeLinear"
        }
        self._float_names = {name for node in float_model.graph.node for name in node.output}
        self._float_names |= {value.name for value in float_model.graph.input}

    def last_value(self, names: Sequence[str]) -> TaskValue | None:
        known = [name for name in names if name in self._nodes]
        for name in sorted(known, key=self._place.__getitem__, reverse=True):
            value = self._value(self._nodes[name])
            if value is not None and value.float_name in self._float_names:
                return value
        return None

    def _value(self, node: onnx.NodeProto) -> TaskValue | None:
        if node.op_type == "DequantizeLinear":
            maker = self._makers.get(node.input[0])
            return None if maker is None else self._value(maker)
        if node.op_type == "QuantizeLinear":
            name = self._dequantized.get(node.output[0])
            if name is None:
                return None
            return TaskValue(node.input[0].removesuffix(RENAMED), name, True)
        return TaskValue(node.output[0].removesuffix(RENAMED), node.output[0], False)
