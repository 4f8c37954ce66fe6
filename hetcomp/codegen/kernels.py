"""TIR kernels to machine code for the CPU and to OpenCL C."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from hetcomp.errors import InternalError
from hetcomp.schedules.facts import DeviceFacts
from hetcomp.schedules.scheduled import WorkGroup

from . import opencl_text
from .lowered_kernel import LoweredKernel

__all__ = ["cpu_object", "opencl_source"]

_IDLE_PASSES = (
    *("s_tir.CompactBufferAllocation", "s_tir.HoistIfThenElse", "s_tir.LoopPartition"),
    *("s_tir.InjectVirtualThread", "s_tir.RenormalizeSplitPattern", "tirx.CommonSubexprElim"),
)
"""Passes that find nothing in these kernels, or what the backend compiler finds as well: half of
the time that TVM takes to lower them."""

_SYNCHRONISED = "s_tir.ThreadSync"
"""Work-groups of several items have their barriers, and one item alone needs none."""


def cpu_object(
    kernels: Sequence[LoweredKernel], facts: DeviceFacts, target: Any, path: Path
) -> Path:
    """Compile the CPU kernels into one object file at `path`."""
    functions = {k.symbol: k.scheduled.emit(k.symbol, facts) for k in kernels}
    # Reuse of register tiles is the register allocator's work: TVM's StorageRewrite would hoist
    # them out of the scope that says which device they live on.
    with tvm.transform.PassContext(disabled_pass=[*_IDLE_PASSES, "tirx.StorageRewrite"]):
        built = _compile(functions, target)
    built.write_to_file(str(path))
    return path


def opencl_source(kernels: Sequence[LoweredKernel], facts: DeviceFacts) -> str:
    """OpenCL C of all kernels that have an OpenCL version, each with its waiting wrapper.

    The wrapper (see `runtime_patches/src/prologue.cc`) waits for the CPU's epoch, runs the
    tiles of its work-group, and lets the last work-group publish the GPU's epoch. `facts` is the
    register file of the kernels that have one work-item a tile.
    """
    wanted = [k for k in kernels if not k.scheduled.why_no_opencl]
    if not wanted:
        return ""
    functions = {
        k.symbol: k.for_groups.emit(k.symbol)
        if k.for_groups is not None
        else k.scheduled.emit(k.symbol, facts)
        for k in wanted
    }
    target = tvm.target.Target({"kind": "opencl"}, host="llvm")
    with tvm.transform.PassContext(disabled_pass=[*_IDLE_PASSES, _SYNCHRONISED]):
        source = _find_opencl(_compile(functions, target)).inspect_source()
    launches = {k.symbol: _launch(k, kernels.index(k)) for k in wanted}
    return opencl_text.wrap(source, launches)


def _launch(kernel: LoweredKernel, index: int) -> opencl_text.Launch:
    group = kernel.for_groups.group if kernel.for_groups is not None else WorkGroup()
    return opencl_text.Launch(kernel.scheduled.rows_inner, index, group.items)


def _compile(functions: dict[str, tirx.PrimFunc], target: Any) -> Any:
    built = tvm.compile(tvm.IRModule(functions), target=target)
    return built.mod if hasattr(built, "mod") else built


def _find_opencl(module: Any) -> Any:
    pending = [module]
    while pending:
        current = pending.pop()
        if current.kind == "opencl":
            return current
        pending.extend(current.imports)
    raise InternalError("TVM's OpenCL build contains no OpenCL module")
