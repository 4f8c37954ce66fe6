"""A kernel between its schedule and its code."""

from __future__ import annotations

from dataclasses import dataclass

from hetcomp.cost.instruction_mix import InstructionMix
from hetcomp.plan.graph import Kernel
from hetcomp.schedules.facts import DeviceFacts, GroupFacts
from hetcomp.schedules.instruction_mix import count_instructions
from hetcomp.schedules.opaque import OPAQUE
from hetcomp.schedules.scheduled import GroupKernel, Scheduled, WorkGroup

from .functions import kernel_key

__all__ = ["LoweredKernel", "kernel_record", "lowered_kernel"]

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class LoweredKernel:
    """A kernel's symbol and its schedule; `for_groups` where OpenCL's class `gpu` has its own."""

    symbol: str
    scheduled: Scheduled
    for_groups: GroupKernel | None = None


def lowered_kernel(symbol: str, scheduled: Scheduled, groups: GroupFacts | None) -> LoweredKernel:
    """The kernel under `symbol`; with `groups`, also the version for such a device."""
    if groups is None or scheduled.for_groups is None or scheduled.why_no_opencl:
        return LoweredKernel(symbol, scheduled)
    return LoweredKernel(symbol, scheduled, scheduled.for_groups(groups))


def kernel_record(
    kernel: LoweredKernel, n_buffers: int, facts: DeviceFacts, why_no_opencl: str, tuned: str = ""
) -> Kernel:
    """The kernel as the task graph knows it.

    Parameters
    ----------
    n_buffers
        Number of pointer arguments.
    facts
        Register file of the CPU.
    why_no_opencl
        Why no OpenCL kernels are generated at all; empty if they are.
    tuned
        See `hetcomp.plan.graph.Kernel`.
    """
    scheduled = kernel.scheduled
    why = scheduled.why_no_opencl or why_no_opencl
    group = kernel.for_groups.group if kernel.for_groups is not None else WorkGroup()
    return Kernel(
        symbol=kernel.symbol,
        n_buffers=n_buffers,
        opencl=not why,
        why_no_opencl=why,
        key=kernel_key(scheduled, facts, kernel.for_groups),
        variant=scheduled.variant,
        tuned=tuned,
        items=group.items,
        tiles=group.tiles,
        work_group="" if why else group.text,
        facts=scheduled.facts,
        mix=_mix(scheduled, facts),
    )


def _mix(scheduled: Scheduled, facts: DeviceFacts) -> InstructionMix:
    """Instructions of the CPU's kernel; what TVM made of an opaque one is not counted."""
    if scheduled.kind == OPAQUE:
        return InstructionMix()
    code = scheduled.emit("kernel", facts)
    rows, channels = scheduled.rows.extent, scheduled.channels.extent
    return count_instructions(code, rows, channels, facts.lanes * _FLOAT_BYTES)
