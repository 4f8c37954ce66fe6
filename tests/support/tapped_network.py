"""A network of which every tensor between tasks is an output, compared with NumPy's oracle."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import npu_oracle
import numpy as np
import onnx

import hetcomp
from hetcomp.codegen.lower import Lowered, lower_tasks
from hetcomp.options import CompileOptions
from hetcomp.plan.graph import Space

__all__ = ["TappedNetwork", "compile_tapped"]

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class TappedNetwork:
    """A compiled network.

    Attributes
    ----------
    path
        The model.so. Its outputs are the model's and, called `t` and their index, all other tensors
        that tasks write.
    lowered
        Its tasks, what NPU drivers read of them, and its constants.
    """

    path: Path
    lowered: Lowered

    @property
    def taken(self) -> int:
        """Tasks that the NPU takes."""
        return sum(task.npu for task in self.lowered.graph.tasks)

    def differences(self, feeds: Arrays, got: Arrays) -> list[str]:
        """What of `got`, all of the network's outputs, is not NumPy's.

        Every operator reads what NumPy made of those before it; tasks that the NPU takes not are
        taken from `got`.
        """
        memory = _Memory(self.lowered, feeds)
        found = []
        for task, operator in zip(self.lowered.graph.tasks, self.lowered.operators, strict=True):
            if operator is None:
                for tensor in task.outputs:
                    memory.copy(tensor, got)
                continue
            operands = [memory.bytes_of(tensor) for tensor in operator.operands]
            npu_oracle.compute(operator, operands, memory.bytes_of(operator.output))
            off, size = memory.count_differences(operator.output, got)
            if off:
                found.append(f"{task.name}: {off} of {size} differ")
        return found


def compile_tapped(model: onnx.ModelProto, path: Path, options: CompileOptions) -> TappedNetwork:
    """Compile `model` to `path`, all tensors between tasks its outputs."""
    made: list[Lowered] = []

    def tapped(*args: Any, **kwargs: Any) -> Lowered:
        made.append(_with_taps(lower_tasks(*args, **kwargs)))
        return made[-1]

    with mock.patch("hetcomp.generate.lower_tasks", tapped):
        hetcomp.compile(model, output=path, options=options)
    return TappedNetwork(path, made[-1])


def _with_taps(lowered: Lowered) -> Lowered:
    graph = lowered.graph
    written = {graph.root(tensor) for task in graph.tasks for tensor in task.outputs}
    taps = sorted(written - set(graph.outputs))
    tensors = list(graph.tensors)
    for tap in taps:
        tensors[tap] = dataclasses.replace(tensors[tap], name=f"t{tap}")
    graph = dataclasses.replace(graph, tensors=tuple(tensors), outputs=(*graph.outputs, *taps))
    return dataclasses.replace(lowered, graph=graph)


class _Memory:
    """Bytes behind the tensors of one inference."""

    def __init__(self, lowered: Lowered, feeds: Arrays) -> None:
        self._lowered, self._graph = lowered, lowered.graph
        self._roots: dict[int, Array] = {}
        for tensor in self._graph.inputs:
            array = np.ascontiguousarray(feeds[self._graph.tensors[tensor].name])
            self._roots[tensor] = array.reshape(-1).view(np.uint8)

    def bytes_of(self, tensor: int) -> Array:
        """From the tensor's first element to the end of its root's memory."""
        kind = self._graph.tensors[tensor]
        if kind.space is Space.CONSTANT:
            return self._lowered.constant(tensor).reshape(-1).view(np.uint8)
        root = self._graph.root(tensor)
        if root not in self._roots:
            self._roots[root] = np.zeros(self._graph.tensors[root].size_bytes, np.uint8)
        return self._roots[root][kind.offset_bytes :]

    def copy(self, tensor: int, got: Arrays) -> None:
        """Take a tensor from `got`."""
        self._rows(tensor, self.bytes_of(tensor))[...] = self._computed(tensor, got)

    def count_differences(self, tensor: int, got: Arrays) -> tuple[int, int]:
        """Elements that differ, and all."""
        kind = self._graph.tensors[tensor]
        own = np.ascontiguousarray(self._rows(tensor, self.bytes_of(tensor)))
        computed = np.ascontiguousarray(self._computed(tensor, got))
        item = np.dtype(kind.dtype).itemsize
        differ = (own != computed).reshape(-1, item).any(axis=1)
        return int(differ.sum()), differ.size

    def _computed(self, tensor: int, got: Arrays) -> Array:
        root = self._graph.tensors[self._graph.root(tensor)]
        memory = np.ascontiguousarray(got[root.name]).reshape(-1).view(np.uint8)
        return self._rows(tensor, memory[self._graph.tensors[tensor].offset_bytes :])

    def _rows(self, tensor: int, memory: Array) -> Array:
        """Bytes of the tensor's rows, `pitch_bytes` apart where it is a slice."""
        kind = self._graph.tensors[tensor]
        if not kind.pitch_bytes:
            return memory[None, : kind.size_bytes]
        shape = (kind.size_bytes // kind.row_bytes, kind.row_bytes)
        return np.lib.stride_tricks.as_strided(memory, shape, (kind.pitch_bytes, 1))
