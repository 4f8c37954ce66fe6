"""What a fused PrimFunc computes, as a list of stages: the form every schedule rule reads.

TVM's legalisation and fusion leave one loop nest per operator ("block"). A `Stage` is such a
block stripped of its loops: output buffer, axes, and the value of one element. Rules match on
stages and annotations, never on names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tvm import s_tir, tirx
from tvm.ir.expr import TensorLoad

from .expression import Translator
from .half import Halves

__all__ = ["ANCHOR", "Axis", "NotStaged", "Pitches", "Program", "Stage", "parse"]

ANCHOR = "hetcomp.anchor"
"""Block annotation under which `hetcomp.passes` names the anchor operator of a block."""

_SPATIAL, _REDUCE = 0, 2
_COMBINERS: Mapping[type, str] = {
    tirx.Add: "sum",
    tirx.Max: "max",
    tirx.Min: "min",
    tirx.Mul: "prod",
}


Pitches = Mapping[int, int]
"""Elements between the rows (along the last axis) of a parameter that is a slice of a wider
tensor, by position."""


class NotStaged(Exception):  # noqa: N818 (a refusal with its reason, not a fault)
    """A PrimFunc that is not a plain list of element-wise and reduction blocks; says why."""


@dataclass(frozen=True)
class Axis:
    """One loop axis of a stage: its variable and its extent (elements)."""

    var: Any
    extent: int


@dataclass(frozen=True)
class Stage:
    """One block: `buffer[spatial] = combine over reduce of value`.

    Attributes
    ----------
    buffer
        Output buffer; its dimensions are the `spatial` axes in order.
    spatial, reduce
        Axes; `reduce` is empty for element-wise stages.
    value
        Expression of one element (element-wise) or of one term (reduction).
    combiner
        `sum`, `max`, `min`, `prod`, or None for element-wise stages.
    init
        Start value of a reduction.
    annotations
        The block's annotations.
    """

    buffer: Any
    spatial: tuple[Axis, ...]
    reduce: tuple[Axis, ...]
    value: Any
    combiner: str | None
    init: Any
    annotations: Mapping[str, Any]

    @property
    def anchor(self) -> str | None:
        """Name of the anchor operator, if this stage is one."""
        name = self.annotations.get(ANCHOR)
        return None if name is None else str(name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the spatial axes."""
        return tuple(axis.extent for axis in self.spatial)

    def combine(self, old: Any, term: Any) -> Any:
        """One step of the reduction."""
        if self.combiner == "sum":
            return old + term
        if self.combiner == "max":
            return tirx.max(old, term)
        if self.combiner == "min":
            return tirx.min(old, term)
        return old * term


@dataclass(frozen=True)
class Program:
    """Stages in order, over parameter buffers (inputs first, then outputs).

    Offsets into a parameter follow its `memory_shape`, which is its shape but for slices; those
    of `halves` lie in memory in 16 bits, though the stages know float32 only.
    """

    stages: tuple[Stage, ...]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    pitches: Pitches = field(default_factory=dict)
    halves: Halves = field(default_factory=dict)

    @property
    def params(self) -> tuple[Any, ...]:
        """All parameter buffers in call order."""
        return self.inputs + self.outputs

    def memory_shape(self, position: int) -> tuple[int, ...]:
        """Shape of a parameter with the distance of its rows in memory as the last extent."""
        shape = tuple(int(dim) for dim in self.params[position].shape)
        return (*shape[:-1], self.pitches.get(position, shape[-1])) if shape else ()

    def memory_size(self, position: int) -> int:
        """Elements that a parameter spans in memory, or a few more."""
        return math.prod(self.memory_shape(position))

    def stage_of(self, buffer: Any) -> Stage | None:
        """The stage that writes `buffer`."""
        return next((s for s in self.stages if s.buffer.same_as(buffer)), None)

    def is_output(self, buffer: Any) -> bool:
        """Whether `buffer` is an output parameter."""
        return any(buffer.same_as(output) for output in self.outputs)


def parse(
    func: tirx.PrimFunc, pitches: Pitches | None = None, halves: Halves | None = None
) -> Program:
    """Read `func` as stages.

    Raises
    ------
    NotStaged
        If a block stores elsewhere than at its own axes, reduces in an unknown way, or reads what
        it or a later block writes.
    """
    buffers = list(func.params)
    root = func.body
    if not isinstance(root, s_tir.SBlockRealize):
        raise NotStaged("the function has no root block")
    body = root.block.body
    nests = list(body.seq) if isinstance(body, tirx.SeqStmt) else [body]
    stages = tuple(_stage(nest) for nest in nests)
    written = [stage.buffer for stage in stages]
    outputs = [b for b in buffers if any(b.same_as(w) for w in written)]
    inputs = [b for b in buffers if not any(b.same_as(w) for w in written)]
    if [id(b) for b in inputs + outputs] != [id(b) for b in buffers]:
        raise NotStaged("outputs do not follow the inputs")
    _check_order(stages)
    return Program(stages, tuple(inputs), tuple(outputs), pitches or {}, halves or {})


def _check_order(stages: tuple[Stage, ...]) -> None:
    """Each buffer is written once, and read by later stages only."""
    for position, stage in enumerate(stages):
        late = [other.buffer for other in stages[position:]]
        if any(stage.buffer.same_as(buffer) for buffer in late[1:]):
            raise NotStaged(f"two blocks write {stage.buffer.name}")
        if any(read.same_as(buffer) for read in _reads(stage.value) for buffer in late):
            raise NotStaged(f"the block of {stage.buffer.name} reads what it or a later one writes")


def _reads(value: Any) -> list[Any]:
    found: list[Any] = []

    def load(buffer: Any, _indices: Any) -> Any:
        found.append(buffer)
        return tirx.const(0, str(buffer.dtype))

    try:
        Translator([], load, free=True)(value)
    except TypeError as error:
        raise NotStaged(str(error)) from error
    return found


def _stage(nest: Any) -> Stage:
    while isinstance(nest, tirx.For):
        nest = nest.body
    if not isinstance(nest, s_tir.SBlockRealize):
        raise NotStaged(f"a {type(nest).__name__} stands where a block was expected")
    if not _is_true(nest.predicate):
        raise NotStaged(f"block {nest.block.name_hint} has a predicate")
    block = nest.block
    if block.alloc_buffers or not isinstance(block.body, tirx.BufferStore):
        raise NotStaged(f"block {block.name_hint} is not a single store")
    store = block.body
    spatial = tuple(_axis(iv) for iv in block.iter_vars if iv.iter_type == _SPATIAL)
    reduce = tuple(_axis(iv) for iv in block.iter_vars if iv.iter_type == _REDUCE)
    if len(spatial) + len(reduce) != len(block.iter_vars):
        raise NotStaged(f"block {block.name_hint} has an axis that is no plain loop")
    _check_store(block.name_hint, store, spatial)
    annotations = {str(key): value for key, value in block.annotations.items()}
    if not reduce:
        value, combiner, init = store.value, None, None
    else:
        combiner, value = _combiner(block.name_hint, store)
        init = block.init.value if block.init is not None else None
        if init is None:
            raise NotStaged(f"block {block.name_hint} reduces without a start value")
    return Stage(store.buffer, spatial, reduce, value, combiner, init, annotations)


def _is_true(condition: Any) -> bool:
    return isinstance(condition, tirx.IntImm) and bool(int(condition))


def _axis(iter_var: Any) -> Axis:
    extent = iter_var.dom.extent
    if not isinstance(extent, tirx.IntImm) or int(iter_var.dom.min) != 0:
        raise NotStaged(f"axis {iter_var.var} is not of static extent")
    return Axis(iter_var.var, int(extent))


def _check_store(name: str, store: Any, spatial: tuple[Axis, ...]) -> None:
    indices = list(store.indices)
    shape = [int(dim) for dim in store.buffer.shape]
    same = len(indices) == len(spatial) and all(
        _is_axis(index, axis) for index, axis in zip(indices, spatial, strict=True)
    )
    if not same or shape != [axis.extent for axis in spatial]:
        raise NotStaged(f"block {name} does not store each element of its buffer in order")


def _is_axis(index: Any, axis: Axis) -> bool:
    if isinstance(index, tirx.IntImm):
        return axis.extent == 1 and int(index) == 0
    return bool(index.same_as(axis.var))


def _combiner(name: str, store: Any) -> tuple[str, Any]:
    kind = _COMBINERS.get(type(store.value))
    if kind is None:
        raise NotStaged(f"block {name} reduces by {type(store.value).__name__}")
    for own, term in ((store.value.a, store.value.b), (store.value.b, store.value.a)):
        if isinstance(own, TensorLoad) and own.source.same_as(store.buffer):
            return kind, term
    raise NotStaged(f"block {name} does not update its own element")
