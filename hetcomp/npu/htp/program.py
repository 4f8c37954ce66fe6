"""Which tasks driver `htp` takes, and the contexts of the regions that plans make of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from hetcomp.npu.operators import Operator
from hetcomp.npu.refused import Refused
from hetcomp.plan.graph import Space, Task, TaskGraph, Tensor
from hetcomp.plan.plan import Plan
from hetcomp.plan.regions import npu_steps
from hetcomp.plan.table import NpuStep

from .context import Compiled, compile_contexts
from .grids import Grid, GridSolver
from .layers import Float, Layer, sources_of, tensor_name
from .model import port_name, region_model
from .read import read_layers
from .terms import Constants

__all__ = ["HtpProgram", "HtpTasks", "with_contexts"]

Array = np.ndarray[Any, Any]
_ALIGNMENT = 128


@dataclass(frozen=True)
class HtpTasks:
    """A task graph with this driver's verdicts.

    Attributes
    ----------
    graph
        Whose tasks say whether the driver takes them.
    layers
        Of the tasks that it takes, by index.
    grids
        Of all bytes of these layers.
    """

    graph: TaskGraph
    layers: Mapping[int, tuple[Layer, ...]]
    grids: Mapping[str, Grid]

    @staticmethod
    def of(
        graph: TaskGraph, operators: Sequence[Operator | None], constants: Constants
    ) -> HtpTasks:
        """Read all tasks.

        Parameters
        ----------
        graph
            The tasks.
        operators
            One a task, None where no NPU takes it.
        constants
            Gives the array of a constant tensor.
        """
        return _Reading(graph, operators, constants).tasks()

    def model(self, step: NpuStep) -> onnx.ModelProto:
        """The ONNX model of a region.

        Raises
        ------
        Refused
            It shares floats with a task of this driver that is not in it.
        """
        layers = [layer for index in step.tasks for layer in self.layers[index]]
        return region_model(self.graph, step, layers, self.grids)


class _Reading:
    """Reads tasks until no further one is refused: what reads a task's floats depends on it."""

    def __init__(
        self, graph: TaskGraph, operators: Sequence[Operator | None], constants: Constants
    ) -> None:
        self._graph, self._operators, self._constants = graph, operators, constants
        self._reasons: dict[int, str] = {}

    def tasks(self) -> HtpTasks:
        known = -1
        while known != len(self._reasons):
            known = len(self._reasons)
            layers = self._layers()
            grids = self._grids(layers)
        judged = tuple(_judged(t, self._reasons.get(i)) for i, t in enumerate(self._graph.tasks))
        return HtpTasks(dataclasses.replace(self._graph, tasks=judged), layers, grids)

    def _layers(self) -> dict[int, tuple[Layer, ...]]:
        """Of all tasks that are not refused so far, or now."""
        found, floats = dict[int, tuple[Layer, ...]](), dict[str, Float]()
        for index, operator in enumerate(self._operators):
            if operator is None or index in self._reasons:
                continue
            try:
                layers = read_layers(operator, index, self._graph, self._constants, floats)
            except Refused as reason:
                self._reasons[index] = str(reason)
                continue
            found[index] = layers
            floats.update((layer.name, layer) for layer in layers if isinstance(layer, Float))
        return found

    def _grids(self, layers: Mapping[int, tuple[Layer, ...]]) -> dict[str, Grid]:
        """Of their bytes; refuses tasks that contradict others."""
        solver, outer = GridSolver(), self._read_by_others(layers.keys())
        for index, group in layers.items():
            kept = [x for x in group if not isinstance(x, Float) or x.name in outer]
            try:
                solver.add(kept)
            except Refused as reason:
                self._reasons[index] = str(reason)
        try:
            return solver.grids(_names(layers.values()))
        except Refused as reason:
            self._reasons.update(dict.fromkeys(layers, str(reason)))
            return {}

    def _read_by_others(self, taken: Iterable[int]) -> set[str]:
        """Tensors that tasks of other processors read, or that are outputs."""
        graph, ours = self._graph, set(taken)
        read = {graph.root(tensor) for tensor in graph.outputs}
        for index, task in enumerate(graph.tasks):
            if index not in ours:
                read.update(graph.root(tensor) for tensor in task.inputs)
        return {tensor_name(tensor) for tensor in read}


@dataclass(frozen=True)
class HtpProgram:
    """What the file holds for this driver.

    Attributes
    ----------
    graph
        With a constant tensor for each context.
    arrays
        Their data, which follow the graph's other constants.
    contexts
        For the image, see `npu_context.h`.
    """

    graph: TaskGraph
    arrays: tuple[Array, ...] = ()
    contexts: tuple[dict[str, Any], ...] = ()


def with_contexts(tasks: HtpTasks, plans: Iterable[Plan], soc: str) -> HtpProgram:
    """Compile every region of the plans.

    Raises
    ------
    ToolchainError
        The vendor's tools are not installed, or end without an answer.
    """
    graph = tasks.graph
    # Contexts compute whole tasks: of one that is shared with the CPU, that computes all.
    wanted = (step for plan in plans for step in _steps(graph, plan) if not step.is_part)
    steps = {step.tasks: step for step in wanted}
    arrays, entries = list[Array](), list[dict[str, Any]]()
    for step, result in zip(steps.values(), _compiled(tasks, steps.values(), soc), strict=True):
        entry = _entry(graph, step, result)
        if result.context:
            array = np.frombuffer(result.context, np.uint8)
            entry["tensor"] = len(graph.tensors)
            graph = _with_constant(graph, f"htp context {len(arrays)}", array)
            arrays.append(array)
        entries.append(entry)
    return HtpProgram(graph, tuple(arrays), tuple(entries))


def _compiled(tasks: HtpTasks, steps: Iterable[NpuStep], soc: str) -> list[Compiled]:
    """What becomes of each region."""
    models, reasons = list[onnx.ModelProto](), list[str]()
    for step in steps:
        try:
            models.append(tasks.model(step))
            reasons.append("")
        except Refused as reason:
            reasons.append(str(reason))
    compiled = iter(compile_contexts(models, soc))
    return [Compiled(b"", reason) if reason else next(compiled) for reason in reasons]


def _steps(graph: TaskGraph, plan: Plan) -> tuple[NpuStep, ...]:
    return npu_steps(graph, {decision.task: decision for decision in plan.decisions})


def _entry(graph: TaskGraph, step: NpuStep, result: Compiled) -> dict[str, Any]:
    return {
        "tasks": list(step.tasks),
        "tensor": -1,
        "why_not": result.why_not,
        "inputs": [port_name(graph, tensor) for tensor in step.inputs],
        "outputs": [port_name(graph, tensor) for tensor in step.outputs],
    }


def _with_constant(graph: TaskGraph, name: str, array: Array) -> TaskGraph:
    size, offset = array.nbytes, graph.constants_bytes
    tensor = Tensor(name, array.shape, "uint8", size, Space.CONSTANT, None, offset)
    end = offset + -(-size // _ALIGNMENT) * _ALIGNMENT
    return dataclasses.replace(graph, tensors=(*graph.tensors, tensor), constants_bytes=end)


def _judged(task: Task, reason: str | None) -> Task:
    return task if reason is None else dataclasses.replace(task, npu=False, why_no_npu=reason)


def _names(layers: Iterable[tuple[Layer, ...]]) -> set[str]:
    """All bytes that layers read or make."""
    found = set[str]()
    for layer in (layer for group in layers for layer in group):
        found.update(sources_of(layer))
        if not isinstance(layer, Float):
            found.add(layer.name)
    return found
