"""From the fused Relax module to the task graph: schedule every function, pack every weight."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx

from hetcomp.errors import UnsupportedOperatorError
from hetcomp.frontend import ImportedModel
from hetcomp.passes.relax_values import constant_value
from hetcomp.passes.task_names import value_names
from hetcomp.plan.graph import Grid, Kernel, Space, Task, TaskGraph, Tensor
from hetcomp.schedules.choice import Choice
from hetcomp.schedules.facts import DeviceFacts, GroupFacts
from hetcomp.schedules.scheduled import Packing, Scheduled, TileGrid
from hetcomp.schedules.select import schedule

from .constants import ConstantPool, StoredArrays
from .lowered_kernel import LoweredKernel, kernel_record, lowered_kernel
from .names import NodeNames, unique_names

__all__ = ["Choose", "Chosen", "Lowered", "lower_tasks"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Chosen:
    """Parameters of one kernel, None for the template's own, and a word on that for `explain`."""

    choice: Choice | None
    why: str


Choose = Callable[[tirx.PrimFunc, frozenset[int], Scheduled], Chosen]
"""Chooses the parameters of a fused function with constants at some positions, given its default
schedule."""


@dataclass(frozen=True)
class Lowered:
    """The task graph with what code generation needs for it.

    Attributes
    ----------
    graph
        Tasks, tensors, kernels.
    kernels
        Schedules, in the order of `graph.kernels`.
    constants
        Arrays of the constant tensors, in the order of their offsets, in a temporary file.
    """

    graph: TaskGraph
    kernels: tuple[LoweredKernel, ...]
    constants: StoredArrays


def lower_tasks(
    imported: ImportedModel,
    mod: Any,
    facts: DeviceFacts,
    *,
    gpu: bool,
    choose: Choose | None = None,
    groups: GroupFacts | None = None,
) -> Lowered:
    """Make the task graph of a fused module.

    Parameters
    ----------
    imported
        Names and shapes of inputs and outputs.
    mod
        Output of `hetcomp.pipeline.fusion_pipeline`.
    facts
        Register file of the CPU.
    gpu
        Whether OpenCL kernels will be generated.
    choose
        Chooses the kernels' parameters; None leaves them to the templates.
    groups
        An OpenCL device of class `gpu`; None for one that is a CPU.
    """
    builder = _Builder(mod, facts, NodeNames(imported.model), gpu=gpu, choose=choose, groups=groups)
    return builder.build(imported)


class _Builder:
    """Walks `main` once, in order."""

    def __init__(
        self, mod: Any, facts: DeviceFacts, nodes: NodeNames, *, gpu: bool,
        choose: Choose | None, groups: GroupFacts | None,
    ) -> None:  # fmt: skip
        self._mod, self._facts, self._nodes, self._gpu = mod, facts, nodes, gpu
        self._choose, self._groups = choose, groups
        self._returned: list[tuple[Any, str]] = []
        self._tensors: list[Tensor] = []
        self._inputs: list[int] = []
        self._tasks: list[Task] = []
        self._kernels: list[LoweredKernel] = []
        self._records: list[Kernel] = []
        self._kernel_of: dict[tuple[str, frozenset[int]], int] = {}
        self._values: dict[Any, tuple[int, ...]] = {}
        self._constants = ConstantPool()

    def build(self, imported: ImportedModel) -> Lowered:
        main = self._mod["main"]
        self._returned = _returned(main, imported)
        for param, spec in zip(main.params, imported.inputs, strict=True):
            self._inputs.append(self._arena(spec.name, spec.shape, spec.dtype))
            self._values[param] = (self._inputs[-1],)
        for block in main.body.blocks:
            for binding in block.bindings:
                self._values[binding.var] = self._bind(binding.var, binding.value)
                imported.weights.release()  # those of this task were read and packed
        returned = self._expr(main.body.body)
        outputs = [
            self._output(tensor, spec.name, returned[:place])
            for place, (tensor, spec) in enumerate(zip(returned, imported.outputs, strict=True))
        ]
        graph = TaskGraph(
            name=imported.name,
            tensors=tuple(self._tensors),
            kernels=tuple(self._records),
            tasks=unique_names(self._tasks),
            inputs=tuple(self._inputs),
            outputs=tuple(outputs),
            constants_bytes=self._constants.size_bytes,
        )
        return Lowered(graph, tuple(self._kernels), self._constants.arrays)

    def _bind(self, var: Any, value: Any) -> tuple[int, ...]:
        if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op):
            if value.op.name == "relax.call_tir":
                return self._task(var, value)
            if value.op.name == "relax.reshape":
                return (self._alias(var, self._expr(value.args[0])[0]),)
            raise UnsupportedOperatorError(
                f"operator {value.op.name} (at '{var.name}') did not lower to a kernel; "
                "hetcomp runs static graphs of tensor operators"
            )
        return self._expr(value)

    def _expr(self, expr: Any) -> tuple[int, ...]:
        """Tensor indices of an argument: a variable, a constant, a tuple or a part of one."""
        if isinstance(expr, relax.Var):
            return self._values[expr]
        if isinstance(expr, relax.Tuple):
            return tuple(self._expr(field)[0] for field in expr.fields)
        if isinstance(expr, relax.TupleGetItem):
            return (self._expr(expr.tuple_value)[int(expr.index)],)
        array = constant_value(expr)
        if array is None:
            raise UnsupportedOperatorError(f"cannot lower {type(expr).__name__}: {expr}")
        return (self._constant(array, None),)

    def _task(self, var: Any, call: Any) -> tuple[int, ...]:
        function = call.args[0]
        args = list(call.args[1].fields)
        arrays = [constant_value(arg) for arg in args]
        constants = frozenset(i for i, array in enumerate(arrays) if array is not None)
        index = self._kernel(function, constants)
        scheduled = self._kernels[index].scheduled
        inputs = []
        for position, (arg, array) in enumerate(zip(args, arrays, strict=True)):
            if array is not None:
                inputs.append(self._constant(array, scheduled.packings.get(position)))
            else:
                inputs.append(self._expr(arg)[0])
        outputs = self._outputs(var)
        self._tasks.append(
            _task_record(self._source(var), scheduled, index, inputs, outputs, self._tensors)
        )
        return outputs

    def _source(self, var: Any) -> tuple[str, ...]:
        """ONNX nodes of the task bound to `var`; a model output is known by its own name only."""
        own = [name for output, name in self._returned if output.same_as(var)]
        return self._nodes.sources([*value_names(self._mod, var), *own])

    def _outputs(self, var: Any) -> tuple[int, ...]:
        kinds = var.ty.fields if isinstance(var.ty, relax.TupleType) else [var.ty]
        return tuple(
            self._arena(var.name, [int(dim) for dim in kind.shape.values], str(kind.dtype))
            for kind in kinds
        )

    def _kernel(self, function: Any, constants: frozenset[int]) -> int:
        key = (function.name_hint, constants)
        if key not in self._kernel_of:
            func: tirx.PrimFunc = self._mod[function]
            scheduled, tuned = self._schedule(func, constants)
            symbol = f"k{len(self._kernels)}_{scheduled.kind}"
            self._kernel_of[key] = len(self._kernels)
            kernel = lowered_kernel(symbol, scheduled, self._groups)
            why = "" if self._gpu else "compiled without OpenCL kernels"
            record = kernel_record(kernel, len(func.params), self._facts, why, tuned)
            self._kernels.append(kernel)
            self._records.append(record)
        return self._kernel_of[key]

    def _schedule(self, func: tirx.PrimFunc, constants: frozenset[int]) -> tuple[Scheduled, str]:
        """The schedule, and what `--tuned` did about it."""
        default = schedule(func, constants, self._facts)
        if self._choose is None:
            return default, ""
        chosen = self._choose(func, constants, default)
        if chosen.choice is None:
            return default, chosen.why
        return schedule(func, constants, self._facts, chosen.choice), chosen.why

    def _arena(self, name: str, shape: Sequence[int], dtype: str) -> int:
        return self._add(name, shape, dtype, Space.ARENA)

    def _alias(self, var: Any, source: int) -> int:
        shape = [int(dim) for dim in var.ty.shape.values]
        kind = self._tensors[source]
        return self._add(var.name, shape, kind.dtype, kind.space, source, kind.offset_bytes)

    def _constant(self, array: Array, packing: Packing | None) -> int:
        entry = self._constants.add(array, packing)
        if entry.tensor is None:
            name = f"constant{len(self._constants.arrays) - 1}"
            entry.tensor = self._add(
                name, entry.shape, entry.dtype, Space.CONSTANT, None, entry.offset_bytes
            )
        return entry.tensor

    def _add(
        self, name: str, shape: Sequence[int], dtype: str, space: Space,
        alias_of: int | None = None, offset_bytes: int = 0,
    ) -> int:  # fmt: skip
        size = math.prod(shape) * np.dtype(dtype).itemsize
        self._tensors.append(Tensor(name, tuple(shape), dtype, size, space, alias_of, offset_bytes))
        return len(self._tensors) - 1

    def _output(self, tensor: int, name: str, earlier: Sequence[int]) -> int:
        """The tensor under the output's name: itself, or an alias where it has a name already."""
        old = self._tensors[tensor]
        taken = old.space is Space.CONSTANT or tensor in (*self._inputs, *earlier)
        if taken:
            return self._add(name, old.shape, old.dtype, old.space, tensor, old.offset_bytes)
        self._tensors[tensor] = dataclasses.replace(old, name=name)
        return tensor


def _returned(main: Any, imported: ImportedModel) -> list[tuple[Any, str]]:
    """Variables that `main` returns, with the names of the model's outputs."""
    body = main.body.body
    bound = {b.var: b.value for block in main.body.blocks for b in block.bindings}
    body = bound.get(body, body)
    fields = list(body.fields) if isinstance(body, relax.Tuple) else [main.body.body]
    return [(field, spec.name) for field, spec in zip(fields, imported.outputs, strict=True)]


def _task_record(
    source: tuple[str, ...],
    scheduled: Scheduled,
    kernel: int,
    inputs: Sequence[int],
    outputs: Sequence[int],
    tensors: Sequence[Tensor],
) -> Task:
    weights = [t for t in inputs if tensors[t].space is Space.CONSTANT]
    moved = [t for t in (*inputs, *outputs) if tensors[t].space is Space.ARENA]
    return Task(
        name="",
        kind=scheduled.kind,
        kernel=kernel,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        rows=_grid(scheduled.rows),
        channels=_grid(scheduled.channels),
        preferred_axis=scheduled.preferred_axis,
        axis_reason=scheduled.axis_reason,
        flops=scheduled.flops,
        weight_bytes=sum(tensors[t].size_bytes for t in weights),
        activation_bytes=sum(tensors[t].size_bytes for t in moved),
        heads=scheduled.heads,
        source=source,
    )


def _grid(grid: TileGrid) -> Grid:
    return Grid(grid.extent, grid.ragged)
