"""Fused functions and kernels as data: hashes that outlive a process, and JSON."""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import tirx

from hetcomp.schedules.facts import DeviceFacts
from hetcomp.schedules.scheduled import GroupKernel, Scheduled

__all__ = ["function_from_json", "function_to_json", "kernel_key", "structure_key"]

_HASH_BITS = 2**64 - 1


def kernel_key(
    scheduled: Scheduled, facts: DeviceFacts, for_groups: GroupKernel | None = None
) -> str:
    """Hash of the kernel's code: what was measured for a key holds for all that has it."""
    code = [scheduled.emit("kernel", facts)]
    if for_groups is not None:
        code.append(for_groups.emit("kernel"))
    hashes = (tvm_ffi.structural_hash(func) & _HASH_BITS for func in code)
    return "-".join([facts.name, *(f"{number:016x}" for number in hashes)])


def structure_key(func: tirx.PrimFunc, constants: frozenset[int]) -> str:
    """Hash of what a fused function computes; names of values do not count."""
    bare = func.without_attr("global_symbol")
    code = tvm_ffi.structural_hash(bare, map_free_vars=True) & _HASH_BITS
    return f"{code:016x}-{'.'.join(map(str, sorted(constants)))}"


def function_to_json(func: tirx.PrimFunc) -> str:
    """`func` as text that another process of the same TVM can read."""
    return str(tvm.ir.save_json(func))


def function_from_json(text: str) -> Any:
    """Inverse of `function_to_json`."""
    return tvm.ir.load_json(text)
