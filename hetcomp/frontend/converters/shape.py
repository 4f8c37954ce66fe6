"""Views and indexing, with the static shapes that ONNX inference gives."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from tvm import relax

from hetcomp.frontend.converters.context import NodeContext
from hetcomp.passes.relax_values import dims_of_expr, dtype_of

__all__ = ["expand", "gather", "pad", "reshape", "space_to_depth", "split", "strided_slice"]


def reshape(ctx: NodeContext) -> Any:
    """Emit the final static shape, without 0 and -1."""
    return None if ctx.dims is None else relax.op.reshape(ctx.inputs[0], ctx.dims)


def expand(ctx: NodeContext) -> Any:
    """Emit ``broadcast_to`` the shape to which input and target broadcast together."""
    return None if ctx.dims is None else relax.op.broadcast_to(ctx.inputs[0], ctx.dims)


def split(ctx: NodeContext) -> Any:
    """Emit ``split`` at explicit indices; one part is the input itself."""
    x, count = ctx.inputs[0], len(ctx.node.output)
    dims = dims_of_expr(x)
    if count == 1:
        return x
    sizes = ctx.constant(1) if ctx.opset >= 13 else ctx.attributes.get("split")
    if dims is None or (sizes is None and ctx.input(1) is not None):
        return None
    axis = ctx.attributes.get("axis", 0) % len(dims)
    if sizes is None:
        sizes = [-(-dims[axis] // count)] * count  # the last part may be smaller
    indices = [int(index) for index in accumulate(sizes)][:-1]
    return relax.op.split(x, indices, axis)


def gather(ctx: NodeContext) -> Any:
    """Emit a slice for constant indices in arithmetic progression; else clip run-time indices.

    ONNX forbids indices out of bounds; clipping keeps a bad one from reading foreign memory.
    """
    x, indices, dims = ctx.inputs[0], ctx.constant(1), dims_of_expr(ctx.inputs[0])
    if dims is None or ctx.dims is None:
        return None
    axis = ctx.attributes.get("axis", 0) % len(dims)
    if indices is None:
        return _run_time_gather(x, ctx.inputs[1], axis, dims[axis])
    whole = np.where(indices < 0, indices + dims[axis], indices).astype("int64")
    if whole.size and not (whole.min() >= 0 and whole.max() < dims[axis]):
        raise ValueError(f"index {indices.tolist()} is outside axis {axis} of extent {dims[axis]}")
    flat = whole.reshape(-1)
    step = int(flat[1] - flat[0]) if flat.size > 1 else 1
    if flat.size == 0 or step <= 0 or np.any(np.diff(flat) != step):
        return relax.op.take(x, relax.const(whole, "int64"), axis)
    part = relax.op.strided_slice(x, [axis], [int(flat[0])], [int(flat[-1]) + 1], [step])
    return part if whole.ndim == 1 else relax.op.reshape(part, ctx.dims)


def _run_time_gather(x: Any, indices: Any, axis: int, extent: int) -> Any:
    dtype = dtype_of(indices)
    wrapped = relax.op.where(
        relax.op.less(indices, relax.const(0, dtype)),
        relax.op.add(indices, relax.const(extent, dtype)),
        indices,
    )
    return relax.op.take(x, wrapped, axis, mode="clip")


def strided_slice(ctx: NodeContext) -> Any:
    """Emit ``strided_slice`` with bounds inside the tensor; reads attributes before set 10."""
    x, dims = ctx.inputs[0], dims_of_expr(ctx.inputs[0])
    bounds = _slice_bounds(ctx)
    if bounds is None or dims is None:
        return None
    axes = [axis % len(dims) for axis in bounds.axes]
    ranges = [
        slice(start, end, step).indices(dims[axis])
        for start, end, axis, step in zip(
            bounds.starts, bounds.ends, axes, bounds.steps, strict=True
        )
    ]
    if any(step < 0 for _, _, step in ranges):
        return None
    first = [start for start, _, _ in ranges]
    last = [max(start, end) for start, end, _ in ranges]
    return relax.op.strided_slice(x, axes, first, last, [step for _, _, step in ranges])


@dataclass(frozen=True)
class _Bounds:
    """A slice as ONNX gives it, with defaults filled in."""

    starts: list[int]
    ends: list[int]
    axes: list[int]
    steps: list[int]


def _slice_bounds(ctx: NodeContext) -> _Bounds | None:
    """Return the slice, or None where a part of it is known at run time only."""
    if ctx.opset < 10:
        given = [ctx.attributes.get(name) for name in ("starts", "ends", "axes", "steps")]
    elif any(ctx.input(i) is not None and ctx.constant(i) is None for i in range(1, 5)):
        return None
    else:
        given = [ctx.constant(i) for i in range(1, 5)]
    starts, ends, axes, steps = [
        None if part is None else [int(number) for number in np.reshape(part, -1)] for part in given
    ]
    if starts is None or ends is None:
        return None
    count = len(starts)
    return _Bounds(starts, ends, axes or list(range(count)), steps or [1] * count)


def pad(ctx: NodeContext) -> Any:
    """Emit ``nn.pad`` for constant padding, so that it fuses; TVM emits call_tir."""
    x, dims = ctx.inputs[0], dims_of_expr(ctx.inputs[0])
    pads = ctx.constant(1) if ctx.opset >= 11 else ctx.attributes.get("pads")
    mode = ctx.attributes.get("mode", b"constant")
    if dims is None or pads is None or ctx.input(3) is not None or mode != b"constant":
        return None
    if min(pads) < 0 or (ctx.input(2) is not None and ctx.constant(2) is None):
        return None
    rank = len(dims)
    widths = [int(width) for axis in range(rank) for width in (pads[axis], pads[axis + rank])]
    value = ctx.attributes.get("value", 0.0) if ctx.opset < 11 else ctx.constant(2)
    number = 0 if value is None else np.asarray(value).reshape(-1)[0].item()
    return relax.op.nn.pad(x, widths, pad_value=number)


def space_to_depth(ctx: NodeContext) -> Any:
    """Respect ``mode=CRD``, which TVM ignores."""
    dims, block = dims_of_expr(ctx.inputs[0]), ctx.attributes["blocksize"]
    if ctx.attributes.get("mode", b"DCR") != b"CRD" or dims is None or ctx.dims is None:
        return None
    n, c, h, w = dims
    x = relax.op.reshape(ctx.inputs[0], (n, c, h // block, block, w // block, block))
    return relax.op.reshape(relax.op.permute_dims(x, [0, 1, 3, 5, 2, 4]), ctx.dims)
