"""TIR kernels to machine code for the CPU and to OpenCL C."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from hetcomp.errors import InternalError
from hetcomp.schedules.facts import DeviceFacts

from .lower import LoweredKernel

__all__ = ["cpu_object", "opencl_source"]

_KERNEL = re.compile(r"__kernel void (\w+)_kernel\(([^)]*)\) \{")
_PROTOTYPE = re.compile(r"^__kernel void \w+\([^)]*\);\n", re.MULTILINE)
"""TVM repeats the prototypes of all kernels in front of each."""
_RANGES = ("r0", "r1", "c0", "c1")
_IDLE_PASSES = (
    *("s_tir.CompactBufferAllocation", "s_tir.HoistIfThenElse", "s_tir.LoopPartition"),
    *("s_tir.InjectVirtualThread", "s_tir.RenormalizeSplitPattern", "tirx.CommonSubexprElim"),
)
"""Passes that find nothing in these kernels, or what the backend compiler finds as well: half of
the time that TVM takes to lower them."""
_PROLOGUE = """\
// TVM copies a scalar condition, 0 or 1, into all lanes; select() looks at their highest bits.
#define hetcomp_select(a, b, c) select(a, b, (c) != 0)
"""


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
    tile of its work-group, and lets the last work-group publish the GPU's epoch.
    """
    wanted = [k for k in kernels if not k.scheduled.why_no_opencl]
    if not wanted:
        return ""
    functions = {k.symbol: k.scheduled.emit(k.symbol, facts) for k in wanted}
    target = tvm.target.Target({"kind": "opencl"}, host="llvm")
    with tvm.transform.PassContext(disabled_pass=list(_IDLE_PASSES)):
        source = _find_opencl(_compile(functions, target)).inspect_source()
    return _wrap(source, {k.symbol: k.scheduled.rows_inner for k in wanted})


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


def _wrap(source: str, rows_inner: dict[str, bool]) -> str:
    """Turn TVM's kernels into functions of the group's index and append the real kernels."""
    parameters: dict[str, list[str]] = {}

    def rename(match: re.Match[str]) -> str:
        symbol, text = match.groups()
        parameters[symbol] = [part.strip() for part in text.split(",")]
        return f"static inline void {symbol}_body({text}, int g0, int g1) {{"

    # Arguments of kernels must not point to bool.
    source = _PROTOTYPE.sub("", source).replace("__global bool*", "__global uchar*")
    body = _KERNEL.sub(rename, source)
    body = re.sub(r"\bselect\(", "hetcomp_select(", body)
    body = re.sub(r"get_group_id\(0\)", "g0", body)
    body = re.sub(r"get_group_id\(1\)", "g1", body)
    missing = set(rows_inner) - set(parameters)
    if missing:
        raise InternalError(f"no OpenCL text for kernels {sorted(missing)}")
    wrappers = [_wrapper(s, parameters[s], inner) for s, inner in rows_inner.items()]
    return "\n".join([_PROLOGUE, body, *wrappers])


def _wrapper(symbol: str, parameters: list[str], rows_inner: bool) -> str:
    buffers = {}
    for parameter in parameters:
        name = parameter.split()[-1]
        if name not in _RANGES:
            buffers[int(re.sub(r"\D", "", name))] = parameter.replace("restrict ", "")
    count = max(buffers, default=-1) + 1
    pointers = [buffers.get(i, f"__global char* b{i}_ptr") for i in range(count)]
    ranges = [f"int {name}" for name in _RANGES]
    call = ", ".join([*(p.split()[-1] for p in parameters), "g0", "g1"])
    order = "group % rows, group / rows" if rows_inner else "group / columns, group % columns"
    g0, g1 = order.split(", ")
    head = ", ".join([*pointers, *ranges, "__global int* sync", "int wait", "int signal"])
    return f"""__kernel void {symbol}({head}) {{
  if (!hetcomp_enter(sync, wait)) return;
  int rows = get_num_groups(0), columns = get_num_groups(1);
  int group = get_group_id(1) * rows + get_group_id(0);
  int g0 = {g0}, g1 = {g1};
  {symbol}_body({call});
  hetcomp_leave(sync, signal);
}}
"""
