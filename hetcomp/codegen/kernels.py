"""TIR kernels to machine code for the CPU and to OpenCL C."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import tvm
from tvm import tirx

from hetcomp.errors import InternalError
from hetcomp.memory import give_back
from hetcomp.schedules.facts import DeviceFacts
from hetcomp.schedules.scheduled import WorkGroup

from . import opencl_text
from .lowered_kernel import LoweredKernel

__all__ = ["cpu_objects", "opencl_source"]

T = TypeVar("T")

_GROUP = 4
"""Kernels that are compiled together: ResNet-50's 28 take LLVM 40 MB, four 13."""
_MOST_THREADS = 4

_IDLE_PASSES = (
    *("s_tir.CompactBufferAllocation", "s_tir.HoistIfThenElse", "s_tir.LoopPartition"),
    *("s_tir.InjectVirtualThread", "s_tir.RenormalizeSplitPattern", "tirx.CommonSubexprElim"),
)
"""Passes that find nothing in these kernels, or what the backend compiler finds as well: half of
the time that TVM takes to lower them."""

_SYNCHRONISED = "s_tir.ThreadSync"
"""Work-groups of several items have their barriers, and one item alone needs none."""


def cpu_objects(
    kernels: Sequence[LoweredKernel], facts: DeviceFacts, target: Any, folder: Path
) -> tuple[Path, ...]:
    """Compile the CPU kernels into object files in `folder`."""

    def compile_group(group: Sequence[LoweredKernel]) -> Path:
        functions = {k.symbol: k.scheduled.emit(k.symbol, facts) for k in group}
        # Reuse of register tiles is the register allocator's work: TVM's StorageRewrite would hoist
        # them out of the scope that says which device they live on.
        with tvm.transform.PassContext(disabled_pass=[*_IDLE_PASSES, "tirx.StorageRewrite"]):
            built = _compile(functions, target)
        path = folder / f"{group[0].symbol}.o"
        built.write_to_file(str(path))
        return path

    return tuple(_in_groups(compile_group, kernels))


def opencl_source(kernels: Sequence[LoweredKernel], facts: DeviceFacts) -> str:
    """OpenCL C of all kernels that have an OpenCL version, each with its waiting wrapper.

    The wrapper (see `runtime_patches/src/opencl/prologue.cc`) waits for the CPU's epoch, runs the
    tiles of its work-group, and lets the last work-group publish the GPU's epoch. `facts` is the
    register file of the kernels that have one work-item a tile.
    """
    target = tvm.target.Target({"kind": "opencl"}, host="llvm")

    def compile_group(group: Sequence[LoweredKernel]) -> str:
        functions = {k.symbol: _opencl_function(k, facts) for k in group}
        with tvm.transform.PassContext(disabled_pass=[*_IDLE_PASSES, _SYNCHRONISED]):
            return str(_find_opencl(_compile(functions, target)).inspect_source())

    wanted = [k for k in kernels if not k.scheduled.why_no_opencl]
    if not wanted:
        return ""
    source = "".join(_in_groups(compile_group, wanted))
    return opencl_text.wrap(source, {k.symbol: _launch(k, kernels.index(k)) for k in wanted})


def _opencl_function(kernel: LoweredKernel, facts: DeviceFacts) -> tirx.PrimFunc:
    if kernel.for_groups is not None:
        return kernel.for_groups.emit(kernel.symbol)
    return kernel.scheduled.emit(kernel.symbol, facts)


def _in_groups(
    compile_group: Callable[[Sequence[LoweredKernel]], T], kernels: Sequence[LoweredKernel]
) -> list[T]:
    """Compile some of `kernels` at a time, several groups at once."""

    def compile_and_forget(group: Sequence[LoweredKernel]) -> T:
        result = compile_group(group)
        give_back()
        return result

    groups = [kernels[i : i + _GROUP] for i in range(0, len(kernels), _GROUP)]
    with ThreadPoolExecutor(min(_MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
        return list(pool.map(compile_and_forget, groups))


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
