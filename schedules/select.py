"""Choose the kernel family of a fused function: one place, in order of preference."""

from __future__ import annotations

from dataclasses import replace

from tvm import tirx

from .anchors.attention import attention
from .anchors.conv2d import conv2d
from .anchors.convolution import convolution
from .anchors.depthwise import depthwise
from .anchors.gemm import linear
from .anchors.interleave import interleave
from .anchors.matmul import matmul
from .anchors.resize_columns import resize_columns
from .blocks.arithmetic import BYTES
from .choice import Choice, IllegalChoice
from .facts import DeviceFacts
from .group.rowwise import group_rowwise
from .half import Halves
from .half_program import in_float32
from .int8.depthwise import int8_depthwise
from .opaque import opaque
from .program import NotStaged, Pitches, Program, Stage, parse
from .rowwise.schedule import rowwise
from .scheduled import Scheduled
from .stage_work import count_stages

__all__ = ["schedule"]

_BYTES = frozenset({"bool", "int8", "uint8"})
"""TVM prints vectors of these as packed integers, which OpenCL C does not compile."""
_EVERYWHERE = _BYTES | {"int16", "uint16", "int32", "uint32", "int64", "uint64", "float32"}
"""Element types that need no extension of OpenCL."""


def schedule(
    func: tirx.PrimFunc,
    constants: frozenset[int],
    facts: DeviceFacts,
    choice: Choice | None = None,
    pitches: Pitches | None = None,
    halves: Halves | None = None,
) -> Scheduled:
    """Schedule a fused PrimFunc.

    Parameters
    ----------
    func
        Output of TVM's fusion, blocks unscheduled.
    constants
        Positions of parameters that are constants at every call, so that they may be packed.
    facts
        The CPU's register file; the OpenCL kernel shares its tile sizes, because both read the
        same packed weights.
    choice
        Parameters of the kernel, out of the `space` of what this function returns without them;
        None leaves all to the template.
    pitches
        Row pitches of parameters that are slices of wider tensors; only for positions that are
        `pitched` in what this function returns without them.
    halves
        Parameters that lie in memory in 16 bits; none where this function returns an `opaque`
        kernel.

    Raises
    ------
    IllegalChoice
        The kernel has no such parameter, or not for this shape.
    """
    choice = choice or Choice()
    try:
        program = in_float32(parse(func, pitches, halves))
    except NotStaged as reason:
        scheduled = opaque(func, str(reason))
    else:
        scheduled = _for_opencl(program, _choose(func, program, constants, facts, choice))
        counted = count_stages(program, scheduled.facts)
        scheduled = replace(scheduled, facts=replace(counted, lanes=facts.lanes))
    if why := scheduled.space.why_not(choice.values()):
        raise IllegalChoice(why)
    return scheduled


def _choose(
    func: tirx.PrimFunc,
    program: Program,
    constants: frozenset[int],
    facts: DeviceFacts,
    choice: Choice,
) -> Scheduled:
    reasons: list[str] = []
    anchor = next((stage for stage in program.stages if stage.anchor is not None), None)
    if anchor is not None:
        try:
            found = _anchored(program, anchor, constants, facts, choice)
            if found is not None:
                return found
        except NotStaged as reason:
            reasons.append(str(reason))
    try:
        return replace(rowwise(program), for_groups=lambda device: group_rowwise(program, device))
    except NotStaged as reason:
        reasons.append(str(reason))
    return opaque(func, "; ".join(reasons))


def _anchored(
    program: Program, anchor: Stage, constants: frozenset[int], facts: DeviceFacts, choice: Choice
) -> Scheduled | None:
    if anchor.anchor == "depthwise":
        return depthwise(program, anchor, facts, choice)
    if anchor.anchor == "conv2d":
        return convolution(program, anchor, constants, facts, choice)
    if anchor.anchor == "attention":
        return attention(program, anchor, facts)
    if anchor.anchor == "matmul":
        found = linear(program, anchor, constants, facts, choice)
        return found or matmul(program, anchor, facts, choice)
    if anchor.anchor in ("interleave", "resize_columns"):
        lanes = interleave if anchor.anchor == "interleave" else resize_columns
        found = lanes(program, anchor)
        return replace(found, for_groups=lambda device: group_rowwise(program, device))
    if anchor.anchor == "int8_conv2d":
        return conv2d(program, anchor, constants, facts, choice, BYTES)
    if anchor.anchor == "int8_matmul":
        return matmul(program, anchor, facts, choice, BYTES)
    if anchor.anchor == "int8_depthwise":
        return int8_depthwise(program, anchor, constants, facts)
    if anchor.anchor == "int8_linear":
        return linear(program, anchor, constants, facts, choice, BYTES)
    return None


def _for_opencl(program: Program, scheduled: Scheduled) -> Scheduled:
    """`scheduled` without what OpenCL devices or TVM's OpenCL C lack for some element types."""
    buffers = [*program.params, *(stage.buffer for stage in program.stages)]
    types = {str(buffer.dtype) for buffer in buffers}
    if not types <= _EVERYWHERE and not scheduled.why_no_opencl:
        named = ", ".join(sorted(types - _EVERYWHERE))
        return replace(scheduled, why_no_opencl=f"{named}: not every OpenCL device has that type")
    if scheduled.single_bytes or not types & _BYTES:
        return scheduled

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        return scheduled.emit(symbol, replace(device, lanes=1) if device.opencl else device)

    for_groups = scheduled.for_groups
    if for_groups is None:
        return replace(scheduled, emit=emit)
    scalar = lambda device: for_groups(replace(device, vector=1))  # noqa: E731
    return replace(scheduled, emit=emit, for_groups=scalar)
