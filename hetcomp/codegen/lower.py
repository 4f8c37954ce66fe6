"""From the fused Relax module to the task graph: schedule every function, pack every weight."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx

from hetcomp.errors import UnsupportedOperatorError
from hetcomp.frontend import ImportedModel
from hetcomp.npu import Operator, OperatorReader, cut_columns, cut_rows, packings
from hetcomp.passes.relax_values import constant_value
from hetcomp.passes.task_names import value_names
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.schedules.facts import DeviceFacts, GroupFacts
from hetcomp.schedules.half import HalfFormat, Halves
from hetcomp.schedules.opaque import OPAQUE
from hetcomp.schedules.scheduled import as_half

from .constants import StoredArrays
from .half_values import half_values
from .kernel_table import Choose, KernelTable
from .lowered_kernel import LoweredKernel
from .names import NodeNames, unique_names
from .task_record import task_record
from .tensor_table import TensorTable
from .views import Slice, copy_func, find_slices

__all__ = ["Lowered", "lower_tasks"]

Array = np.ndarray[Any, Any]


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
    operators
        For each task, what NPU drivers read of it; None where they take it not.
    """

    graph: TaskGraph
    kernels: tuple[LoweredKernel, ...]
    constants: StoredArrays
    operators: tuple[Operator | None, ...] = ()

    def constant(self, tensor: int) -> Array:
        """The array of a constant tensor of the graph."""
        return self.constants.at(self.graph.tensors[tensor].offset_bytes)


def lower_tasks(
    imported: ImportedModel,
    mod: Any,
    facts: DeviceFacts,
    *,
    gpu: bool,
    choose: Choose | None = None,
    groups: GroupFacts | None = None,
    exact: bool = False,
    half: HalfFormat | None = None,
    npu: bool = False,
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
    exact
        Keep to direct methods; so does class `gpu`, which has no kernels for others.
    half
        Format of what lies between tasks, see `hetcomp.schedules.half`; None keeps float32.
    npu
        Whether tasks are described to NPU drivers.
    """
    direct = exact or groups is not None
    kernels = KernelTable(mod, facts, groups, gpu=gpu, direct=direct, choose=choose)
    return _Builder(kernels, NodeNames(imported.model), half, npu=npu).build(imported)


class _Builder:
    """Walks `main` once, in order."""

    def __init__(
        self, kernels: KernelTable, nodes: NodeNames, half: HalfFormat | None, *, npu: bool
    ) -> None:
        self._mod, self._nodes = kernels.mod, nodes
        self._kernels, self._tensors = kernels, TensorTable(half)
        self._half = half
        self._half_values: frozenset[Any] = frozenset()
        self._returned: list[tuple[Any, str]] = []
        self._inputs: list[int] = []
        self._tasks: list[Task] = []
        self._slices: Mapping[Any, Slice] = {}
        self._values: dict[Any, tuple[int, ...]] = {}
        self._reader = OperatorReader() if npu else None
        self._operators: list[Operator | None] = []

    def build(self, imported: ImportedModel) -> Lowered:
        main, tensors, default = self._mod["main"], self._tensors, self._kernels.default
        self._returned = _returned(main, imported)
        for param, spec in zip(main.params, imported.inputs, strict=True):
            self._inputs.append(tensors.arena(spec.name, spec.shape, spec.dtype))
            self._values[param] = (self._inputs[-1],)
        self._slices = find_slices(
            self._mod, lambda call: default(call).pitched, tensors.item_bytes
        )
        if self._half is not None:
            self._half_values = half_values(
                main, self._slices, lambda call: default(call).kind == OPAQUE
            )
        for block in main.body.blocks:
            for binding in block.bindings:
                self._values[binding.var] = self._bind(binding.var, binding.value)
                imported.weights.release()  # those of this task were read and packed
        returned = self._expr(main.body.body)
        outputs = [
            tensors.output(tensor, spec.name, (*self._inputs, *returned[:place]))
            for place, (tensor, spec) in enumerate(zip(returned, imported.outputs, strict=True))
        ]
        graph = TaskGraph(
            name=imported.name,
            tensors=tuple(tensors.tensors),
            kernels=tuple(self._kernels.records),
            tasks=unique_names(self._tasks),
            inputs=tuple(self._inputs),
            outputs=tuple(outputs),
            constants_bytes=tensors.constants.size_bytes,
        )
        arrays = tensors.constants.arrays
        return Lowered(graph, tuple(self._kernels.kernels), arrays, tuple(self._operators))

    def _bind(self, var: Any, value: Any) -> tuple[int, ...]:
        if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op):
            if value.op.name == "relax.call_tir":
                if self._is_sliced(var, value):
                    return self._concat(var, value)
                if self._stays(var, value):
                    return self._outputs(var)
                function = value.args[0]
                return self._task(var, function.name_hint, self._mod[function], value)
            if value.op.name == "relax.reshape":
                source = self._expr(value.args[0])[0]
                return (self._tensors.alias(var.name, _shape(var.ty), source),)
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
        return (self._tensors.constant(array, None),)

    def _task(self, var: Any, name: str, func: tirx.PrimFunc, call: Any) -> tuple[int, ...]:
        outputs = self._outputs(var)
        self._add_task(var, name, func, list(call.args[1].fields), outputs)
        return outputs

    def _add_task(
        self, var: Any, name: str, func: tirx.PrimFunc, args: Sequence[Any], outputs: Sequence[int]
    ) -> None:
        """Append the task that computes `outputs` by `func`, which is called `name`."""
        arrays = [constant_value(arg) for arg in args]
        constants = frozenset(i for i, array in enumerate(arrays) if array is not None)
        computed = {i: self._expr(arg)[0] for i, arg in enumerate(args) if i not in constants}
        places = {**computed, **dict(enumerate(outputs, start=len(args)))}
        pitches = self._tensors.pitches(places)
        halves = self._tensors.halves(arrays, places)
        index = self._kernels.index(name, func, constants, pitches, halves)
        scheduled = self._kernels.kernels[index].scheduled
        halves = {} if scheduled.kind == OPAQUE else halves
        inputs = [
            computed[i]
            if array is None
            else self._tensors.constant(array, scheduled.packings.get(i) or as_half(halves.get(i)))
            for i, array in enumerate(arrays)
        ]
        touched = self._kernels.footprints[index]
        tensors = self._tensors.tensors
        source = self._source(var)
        task = task_record(source, scheduled, index, touched, inputs, outputs, tensors)
        if self._reader is not None:
            operator, verdict = self._reader.read(
                index, scheduled, func, constants, pitches, halves
            )
            task = dataclasses.replace(task, npu=verdict.ok, why_no_npu=verdict.reason)
            if operator is not None:
                columns = cut_columns(operator, scheduled.facts.tile_width)
                task = dataclasses.replace(task, npu_rows=cut_rows(operator), npu_columns=columns)
                operator = self._on_tensors(operator, arrays, halves, computed, outputs)
            self._operators.append(operator)
        self._tasks.append(task)

    def _on_tensors(
        self,
        operator: Operator,
        arrays: Sequence[Array | None],
        halves: Halves,
        computed: Mapping[int, int],
        outputs: Sequence[int],
    ) -> Operator:
        """`operator`, which counts a function's parameters, on the tensors of one call."""
        packed = packings(operator)
        operands = [
            computed[i]
            if array is None
            else self._tensors.constant(array, packed.get(i) or as_half(halves.get(i)))
            for i, array in enumerate(arrays)
        ]
        return dataclasses.replace(operator, operands=tuple(operands), output=outputs[0])

    def _is_sliced(self, var: Any, call: Any) -> bool:
        """Whether `var` is a concatenation some parts of which are written in place."""
        parts = [self._slices.get(arg) for arg in call.args[1].fields]
        return any(part is not None and part.whole.same_as(var) for part in parts)

    def _stays(self, var: Any, call: Any) -> bool:
        """Whether `var` is a part of the argument that its readers take from there."""
        place = self._slices.get(var)
        return place is not None and any(place.whole.same_as(arg) for arg in call.args[1].fields)

    def _concat(self, var: Any, call: Any) -> tuple[int, ...]:
        """Nothing for the parts that are there already, a copy of each of the others."""
        (whole,) = self._outputs(var)
        first = 0
        for part in call.args[1].fields:
            place = self._slices.get(part)
            if place is None or not place.whole.same_as(var):
                target = self._tensors.slice(str(var.name), _shape(part.ty), whole, first)
                kind = self._tensors.tensors[target]
                dtype = str(part.ty.dtype)
                func = copy_func(kind.shape, dtype)
                self._add_task(var, f"copy {kind.shape} {dtype}", func, [part], [target])
            first += int(part.ty.shape.values[-1])
        return (whole,)

    def _source(self, var: Any) -> tuple[str, ...]:
        """ONNX nodes of the task bound to `var`; a model output is known by its own name only."""
        own = [name for output, name in self._returned if output.same_as(var)]
        return self._nodes.sources([*value_names(self._mod, var), *own])

    def _outputs(self, var: Any) -> tuple[int, ...]:
        if var in self._values:  # a part was written before
            return self._values[var]
        if var in self._slices:
            place = self._slices[var]
            self._values[place.whole] = whole = self._outputs(place.whole)
            return (self._tensors.slice(str(var.name), _shape(var.ty), whole[0], place.first),)
        kinds = var.ty.fields if isinstance(var.ty, relax.TupleType) else [var.ty]
        return tuple(self._result(var, kind) for kind in kinds)

    def _result(self, var: Any, kind: Any) -> int:
        """A tensor of the arena for `var`, or for a part of it, of the type `kind`."""
        shape, dtype = _shape(kind), str(kind.dtype)
        if self._half is None or dtype != "float32" or var not in self._half_values:
            return self._tensors.arena(var.name, shape, dtype)
        return self._tensors.arena_half(var.name, shape)


def _shape(kind: Any) -> list[int]:
    """Of a tensor's type."""
    return [int(dim) for dim in kind.shape.values]


def _returned(main: Any, imported: ImportedModel) -> list[tuple[Any, str]]:
    """Variables that `main` returns, with the names of the model's outputs."""
    body = main.body.body
    bound = {b.var: b.value for block in main.body.blocks for b in block.bindings}
    body = bound.get(body, body)
    fields = list(body.fields) if isinstance(body, relax.Tuple) else [main.body.body]
    return [(field, spec.name) for field, spec in zip(fields, imported.outputs, strict=True)]
