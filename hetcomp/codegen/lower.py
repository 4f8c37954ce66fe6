"""From the fused Relax module to the task graph: schedule every function, pack every weight."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
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
from hetcomp.plan.graph import Grid, Kernel, RowSpan, Space, Task, TaskGraph, Tensor
from hetcomp.schedules.choice import DIRECT, Choice
from hetcomp.schedules.facts import DeviceFacts, GroupFacts
from hetcomp.schedules.footprint import ElementSpan, footprints
from hetcomp.schedules.half import HalfFormat, Halves, is_large_weight
from hetcomp.schedules.opaque import OPAQUE
from hetcomp.schedules.program import Pitches
from hetcomp.schedules.scheduled import Packing, Scheduled, TileGrid, as_half
from hetcomp.schedules.select import schedule

from .constants import ConstantPool, StoredArrays
from .half_values import half_values
from .lowered_kernel import LoweredKernel, kernel_record, lowered_kernel
from .names import NodeNames, unique_names
from .views import Slice, copy_func, find_slices

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
    nodes, direct = NodeNames(imported.model), exact or groups is not None
    builder = _Builder(
        mod, facts, nodes, gpu=gpu, choose=choose, groups=groups, direct=direct, half=half, npu=npu
    )
    return builder.build(imported)


class _Builder:
    """Walks `main` once, in order."""

    def __init__(
        self, mod: Any, facts: DeviceFacts, nodes: NodeNames, *, gpu: bool,
        choose: Choose | None, groups: GroupFacts | None, direct: bool, half: HalfFormat | None,
        npu: bool,
    ) -> None:  # fmt: skip
        self._mod, self._facts, self._nodes, self._gpu = mod, facts, nodes, gpu
        self._choose, self._groups = choose, groups
        self._direct, self._half = direct, half
        self._half_values: frozenset[Any] = frozenset()
        self._half_tensors: set[int] = set()
        self._returned: list[tuple[Any, str]] = []
        self._tensors: list[Tensor] = []
        self._inputs: list[int] = []
        self._tasks: list[Task] = []
        self._kernels: list[LoweredKernel] = []
        self._records: list[Kernel] = []
        self._kernel_of: dict[tuple[Any, ...], int] = {}
        self._footprints: list[tuple[ElementSpan | None, ...]] = []
        self._slices: Mapping[Any, Slice] = {}
        self._default_of: dict[tuple[str, frozenset[int]], Scheduled] = {}
        self._values: dict[Any, tuple[int, ...]] = {}
        self._constants = ConstantPool()
        self._reader = OperatorReader() if npu else None
        self._operators: list[Operator | None] = []

    def build(self, imported: ImportedModel) -> Lowered:
        main = self._mod["main"]
        self._returned = _returned(main, imported)
        for param, spec in zip(main.params, imported.inputs, strict=True):
            self._inputs.append(self._arena(spec.name, spec.shape, spec.dtype))
            self._values[param] = (self._inputs[-1],)
        self._slices = find_slices(self._mod, self._pitched, self._item_bytes)
        if self._half is not None:
            self._half_values = half_values(main, self._slices, self._is_opaque)
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
        arrays = self._constants.arrays
        return Lowered(graph, tuple(self._kernels), arrays, tuple(self._operators))

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
        pitches = self._pitches({**computed, **dict(enumerate(outputs, start=len(args)))})
        halves = self._halves(arrays, {**computed, **dict(enumerate(outputs, start=len(args)))})
        index = self._kernel(name, func, constants, pitches, halves)
        scheduled = self._kernels[index].scheduled
        halves = {} if scheduled.kind == OPAQUE else halves
        inputs = [
            computed[i]
            if array is None
            else self._constant(array, scheduled.packings.get(i) or as_half(halves.get(i)))
            for i, array in enumerate(arrays)
        ]
        task = _task_record(
            self._source(var),
            scheduled,
            index,
            self._footprints[index],
            inputs,
            outputs,
            self._tensors,
        )
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
            else self._constant(array, packed.get(i) or as_half(halves.get(i)))
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
                target = self._add_slice(str(var.name), part, whole, first)
                kind = self._tensors[target]
                dtype = str(part.ty.dtype)
                func = copy_func(kind.shape, dtype)
                self._add_task(var, f"copy {kind.shape} {dtype}", func, [part], [target])
            first += int(part.ty.shape.values[-1])
        return (whole,)

    def _pitches(self, tensors: Mapping[int, int]) -> dict[int, int]:
        """Elements between rows of the slices among `tensors`, which are given by position."""
        kinds = {position: self._tensors[tensor] for position, tensor in tensors.items()}
        return {
            position: kind.pitch_bytes // np.dtype(kind.dtype).itemsize
            for position, kind in kinds.items()
            if kind.pitch_bytes
        }

    def _halves(self, arrays: Sequence[Array | None], tensors: Mapping[int, int]) -> Halves:
        """Parameters in 16 bits: tensors are given by position, constants are `arrays`."""
        if self._half is None:
            return {}
        large = {i for i, a in enumerate(arrays) if a is not None and is_large_weight(a)}
        lying = {i for i, tensor in tensors.items() if tensor in self._half_tensors}
        return dict.fromkeys(sorted(large | lying), self._half)

    def _item_bytes(self, dtype: str) -> int:
        """Bytes of an element that may lie in 16 bits."""
        return 2 if self._half is not None and dtype == "float32" else np.dtype(dtype).itemsize

    def _pitched(self, call: Any) -> frozenset[int]:
        """Parameters of a `call_tir` that may be slices."""
        return self._default(call).pitched

    def _is_opaque(self, call: Any) -> bool:
        """Whether a `call_tir` runs as TVM made it."""
        return self._default(call).kind == OPAQUE

    def _default(self, call: Any) -> Scheduled:
        """The schedule of a `call_tir` on whole tensors."""
        function = call.args[0]
        arrays = [constant_value(arg) for arg in call.args[1].fields]
        constants = frozenset(i for i, array in enumerate(arrays) if array is not None)
        key = (function.name_hint, constants)
        if key not in self._default_of:
            self._default_of[key] = self._schedule(self._mod[function], constants)[0]
        return self._default_of[key]

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
            return (self._add_slice(str(var.name), var, whole[0], place.first),)
        kinds = var.ty.fields if isinstance(var.ty, relax.TupleType) else [var.ty]
        return tuple(self._result(var, kind) for kind in kinds)

    def _result(self, var: Any, kind: Any) -> int:
        """A tensor of the arena for `var`, or for a part of it, of the type `kind`."""
        shape, dtype = [int(dim) for dim in kind.shape.values], str(kind.dtype)
        if self._half is None or dtype != "float32" or var not in self._half_values:
            return self._arena(var.name, shape, dtype)
        tensor = self._arena(var.name, shape, self._half.memory)
        self._half_tensors.add(tensor)
        return tensor

    def _kernel(
        self, name: str, func: tirx.PrimFunc, constants: frozenset[int], pitches: Pitches,
        halves: Halves,
    ) -> int:  # fmt: skip
        key = (name, constants, tuple(sorted(pitches.items())), tuple(halves))
        if key not in self._kernel_of:
            scheduled, tuned = self._schedule(func, constants, pitches, halves)
            symbol = f"k{len(self._kernels)}_{scheduled.kind}"
            self._kernel_of[key] = len(self._kernels)
            kernel = lowered_kernel(symbol, scheduled, self._groups)
            why = "" if self._gpu else "compiled without OpenCL kernels"
            record = kernel_record(kernel, len(func.params), self._facts, why, tuned)
            self._kernels.append(kernel)
            self._footprints.append(footprints(func, scheduled))
            self._records.append(record)
        return self._kernel_of[key]

    def _schedule(
        self, func: tirx.PrimFunc, constants: frozenset[int], pitches: Pitches | None = None,
        halves: Halves | None = None,
    ) -> tuple[Scheduled, str]:  # fmt: skip
        """The schedule, and what `--tuned` did about it; slices take what whole tensors do."""
        base = Choice()
        if self._direct and schedule(func, constants, self._facts).variant != DIRECT:
            base = Choice(algorithm=DIRECT)
        if self._choose is None:
            return schedule(func, constants, self._facts, base, pitches, halves), ""
        chosen = self._choose(func, constants, schedule(func, constants, self._facts, base))
        choice, why = chosen.choice or Choice(), chosen.why
        algorithm = choice.algorithm or base.algorithm
        if self._direct and algorithm not in (None, DIRECT):
            choice, algorithm = base, base.algorithm
            why = "default: another method was tuned, but only direct ones are wanted"
        choice = dataclasses.replace(choice, algorithm=algorithm)
        return schedule(func, constants, self._facts, choice, pitches, halves), why

    def _arena(self, name: str, shape: Sequence[int], dtype: str) -> int:
        return self._add(name, shape, dtype, Space.ARENA)

    def _alias(self, var: Any, source: int) -> int:
        shape = [int(dim) for dim in var.ty.shape.values]
        kind = self._tensors[source]
        alias = self._add(var.name, shape, kind.dtype, kind.space, source, kind.offset_bytes)
        return self._as_in(source, alias)

    def _add_slice(self, name: str, part: Any, whole: int, first: int) -> int:
        """The tensor of `part` as the channels from `first` on of the tensor `whole`."""
        outer, shape = self._tensors[whole], [int(dim) for dim in part.ty.shape.values]
        item = np.dtype(outer.dtype).itemsize
        pitch = outer.pitch_bytes or outer.shape[-1] * item
        offset = outer.offset_bytes + first * item
        root = whole if outer.alias_of is None else outer.alias_of
        own = self._add(name, shape, outer.dtype, Space.ARENA, root, offset, pitch)
        return self._as_in(whole, own)

    def _as_in(self, source: int, tensor: int) -> int:
        """`tensor`, which has the format of `source`, whose memory it shares."""
        if source in self._half_tensors:
            self._half_tensors.add(tensor)
        return tensor

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
        alias_of: int | None = None, offset_bytes: int = 0, pitch_bytes: int = 0,
    ) -> int:  # fmt: skip
        size = math.prod(shape) * np.dtype(dtype).itemsize
        place = (alias_of, offset_bytes, pitch_bytes)
        self._tensors.append(Tensor(name, tuple(shape), dtype, size, space, *place))
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
    touched: Sequence[ElementSpan | None],
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
        in_place=tuple(sorted(scheduled.in_place)),
        row_spans=tuple(
            _row_span(span, tensors[tensor])
            for span, tensor in zip(touched, (*inputs, *outputs), strict=True)
        ),
    )


def _row_span(span: ElementSpan | None, tensor: Tensor) -> RowSpan | None:
    """In bytes; None for a constant, which every tile may read."""
    if span is None or tensor.space is Space.CONSTANT:
        return None
    item = tensor.size_bytes // math.prod(tensor.shape)
    return RowSpan(item * span.begin, item * span.step, item * span.size)


def _grid(grid: TileGrid) -> Grid:
    return Grid(grid.extent, grid.ragged)
