"""Which values are slices of a wider tensor: concatenations and splits without a copy.

In NHWC the parts of a concatenation are interleaved row by row. Where producer and readers of a
part can work with the distance of rows in the wider tensor, the part lives there from the start.
The parts of a split stay in the tensor that is split, where all their readers can do so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import tvm
from tvm import relax, te

from hetcomp.passes.anchors import CONCAT
from hetcomp.passes.relax_values import static_dims
from hetcomp.passes.slices import SLICE, SLICE_AXIS

__all__ = ["VIEW_ALIGNMENT", "Slice", "copy_func", "find_slices", "is_call_tir", "variables_of"]

VIEW_ALIGNMENT = 64
"""Bytes; kernels take the start of every parameter for a multiple of this."""

Pitched = Callable[[Any], frozenset[int]]
"""Positions of a `call_tir`'s parameters that may be slices."""


@dataclass(frozen=True)
class Slice:
    """Channels from `first` on of `whole`, which may itself be a slice.

    `whole` is computed after its parts where it is a concatenation, and before where it is split.
    """

    whole: Any
    first: int


@dataclass
class _Use:
    """A place where a value is read: the call, and the position of the argument."""

    reader: Any
    call: Any
    position: int


@dataclass
class _Graph:
    """What `main` computes, by variable."""

    calls: dict[Any, Any] = field(default_factory=dict)
    uses: dict[Any, list[_Use]] = field(default_factory=dict)
    escaping: set[Any] = field(default_factory=set)


def find_slices(
    mod: Any, pitched: Pitched, item_bytes: Callable[[str], int]
) -> Mapping[Any, Slice]:
    """The variables of `main` that need no memory of their own, with their places.

    They are parts of a concatenation that reads them, or of a tensor which they are cut out of.
    `item_bytes` gives the bytes in memory of an element of a type.
    """
    graph = _read(mod["main"])
    slices: dict[Any, Slice] = {}
    for whole, call in reversed(graph.calls.items()):
        if CONCAT in _annotations(mod, call):
            _place_parts(graph, whole, pitched, item_bytes, slices)
    for part, call in graph.calls.items():
        annotations = _annotations(mod, call)
        if SLICE in annotations and part not in slices:
            first, axis = int(annotations[SLICE]), int(annotations[SLICE_AXIS])
            if _may_stay(graph, part, axis, first, pitched, item_bytes):
                slices[part] = Slice(call.args[1].fields[0], first)
    return slices


def _annotations(mod: Any, call: Any) -> Mapping[str, Any]:
    """Annotations of the block of a called function that has one only."""
    root = mod[call.args[0]].body
    nest = root.block.body
    while isinstance(nest, tvm.tirx.For):
        nest = nest.body
    annotations: Mapping[str, Any] = getattr(getattr(nest, "block", None), "annotations", {})
    return annotations


def _read(main: Any) -> _Graph:
    graph = _Graph()
    for block in main.body.blocks:
        for binding in block.bindings:
            value = binding.value
            if is_call_tir(value):
                graph.calls[binding.var] = value
                for position, arg in enumerate(value.args[1].fields):
                    use = _Use(binding.var, value, position)
                    graph.uses.setdefault(arg, []).append(use)
            else:
                graph.escaping.update(variables_of(value))
    graph.escaping.update(variables_of(main.body.body))
    return graph


def is_call_tir(value: Any) -> bool:
    """Whether `value` calls a PrimFunc."""
    is_op = isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op)
    return is_op and value.op.name == "relax.call_tir"


def variables_of(expr: Any) -> list[Any]:
    """The variables in an expression."""
    found: list[Any] = []
    relax.analysis.post_order_visit(
        expr, lambda node: found.append(node) if isinstance(node, relax.Var) else None
    )
    return found


def _place_parts(
    graph: _Graph,
    whole: Any,
    pitched: Pitched,
    item_bytes: Callable[[str], int],
    slices: dict[Any, Slice],
) -> None:
    """Place what can be; parts are considered once, in the concatenation that comes last.

    Nothing is placed where a part would begin off the alignment that kernels rely on.
    """
    parts = list(graph.calls[whole].args[1].fields)
    widths = [(static_dims(part.ty) or (0,))[-1] for part in parts]
    starts = [0, *accumulate(widths)]
    item = item_bytes(str(parts[0].ty.dtype))
    if any(first * item % VIEW_ALIGNMENT for first in starts[:-1]):
        return
    for position, (part, first) in enumerate(zip(parts, starts, strict=False)):
        if part not in slices and _may_move(graph, whole, position, part, pitched):
            slices[part] = Slice(whole, first)


def _may_move(graph: _Graph, whole: Any, position: int, part: Any, pitched: Pitched) -> bool:
    """Whether all that touches `part` can work on a slice of `whole`."""
    call = graph.calls.get(part)
    if call is None or part in graph.escaping or not isinstance(part.ty, relax.TensorType):
        return False
    if len(call.args[1].fields) not in pitched(call):
        return False
    return all(
        use.position == position if use.reader.same_as(whole) else use.position in pitched(use.call)
        for use in graph.uses[part]
    )


def _may_stay(
    graph: _Graph,
    part: Any,
    axis: int,
    first: int,
    pitched: Pitched,
    item_bytes: Callable[[str], int],
) -> bool:
    """Whether all that read `part` can read it as channels of what it is cut out of."""
    source, shape = graph.calls[part].args[1].fields[0], static_dims(part.ty)
    if shape is None or axis != len(shape) - 1 or source not in graph.calls:
        return False
    if part in graph.escaping or first * item_bytes(str(part.ty.dtype)) % VIEW_ALIGNMENT:
        return False
    return all(use.position in pitched(use.call) for use in graph.uses.get(part, ()))


def copy_func(shape: Sequence[int], dtype: str) -> Any:
    """A PrimFunc that copies a tensor."""
    source = te.placeholder(tuple(shape), dtype, name="source")
    copied = te.compute(tuple(shape), lambda *at: source[at], name="copied")
    return te.create_prim_func([source, copied])
