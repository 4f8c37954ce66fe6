"""Choose the kernel family of a fused function: one place, in order of preference."""

from __future__ import annotations

from tvm import tirx

from .conv2d import conv2d
from .depthwise import depthwise
from .facts import DeviceFacts
from .gemm import linear
from .matmul import matmul
from .opaque import opaque
from .program import NotStaged, Program, Stage, parse
from .rowwise import rowwise
from .scheduled import Scheduled

__all__ = ["schedule"]


def schedule(func: tirx.PrimFunc, constants: frozenset[int], facts: DeviceFacts) -> Scheduled:
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
    """
    try:
        program = parse(func)
    except NotStaged as reason:
        return opaque(func, str(reason))
    reasons: list[str] = []
    anchor = next((stage for stage in program.stages if stage.anchor is not None), None)
    if anchor is not None:
        try:
            found = _anchored(program, anchor, constants, facts)
            if found is not None:
                return found
        except NotStaged as reason:
            reasons.append(str(reason))
    try:
        return rowwise(program)
    except NotStaged as reason:
        reasons.append(str(reason))
    return opaque(func, "; ".join(reasons))


def _anchored(
    program: Program, anchor: Stage, constants: frozenset[int], facts: DeviceFacts
) -> Scheduled | None:
    if anchor.anchor == "depthwise":
        return depthwise(program, anchor, facts)
    if anchor.anchor == "conv2d":
        return conv2d(program, anchor, constants, facts)
    if anchor.anchor == "matmul":
        return linear(program, anchor, constants, facts) or matmul(program, anchor, facts)
    return None
