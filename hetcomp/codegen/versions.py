"""CPU kernels of one file for several CPUs: a version each, of which the runtime takes the best.

All versions have the tiles and packed weights of the target's own, so that plans, step tables and
OpenCL kernels serve all. What differs is instructions. A kernel whose code is the same for two CPUs
and in whose instructions' order neither has a say is compiled once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tvm_ffi

from hetcomp.targets import CompileTarget

from .kernels import cpu_objects
from .lowered_kernel import LoweredKernel

__all__ = ["CpuCode", "cpu_code"]

_NAME = "kernel"
"""Under which kernels are compared."""


@dataclass(frozen=True)
class CpuCode:
    """Compiled kernels.

    Attributes
    ----------
    objects
        Object files.
    symbols
        For each kernel its symbol in every version, as `CompileTarget.versions` has them.
    """

    objects: tuple[Path, ...]
    symbols: Mapping[str, tuple[str, ...]]


def cpu_code(kernels: Sequence[LoweredKernel], target: CompileTarget, folder: Path) -> CpuCode:
    """Compile the CPU kernels for all versions of `target` into object files in `folder`."""
    objects = list(cpu_objects(kernels, target.cpu, target.llvm, folder))
    symbols: dict[str, tuple[str, ...]] = {}
    own: dict[int, list[LoweredKernel]] = {place: [] for place in range(len(target.more))}
    for kernel in kernels:
        found = [(kernel.symbol, target)]  # the least first
        for place, version in reversed([*enumerate(target.more)]):
            symbol = _same_code(kernel, version, found)
            if symbol is None:
                symbol = f"{kernel.symbol}_v{place}"
                own[place].append(replace(kernel, symbol=symbol))
            found.append((symbol, version))
        symbols[kernel.symbol] = tuple(symbol for symbol, _ in reversed(found))
    for place, version in enumerate(target.more):
        objects += cpu_objects(own[place], version.cpu, version.llvm, folder)
    return CpuCode(tuple(objects), symbols)


def _same_code(
    kernel: LoweredKernel, version: CompileTarget, found: Sequence[tuple[str, CompileTarget]]
) -> str | None:
    """The symbol of a lesser version that `version` would repeat."""
    alike = [(symbol, lesser) for symbol, lesser in found if _core(lesser) == _core(version)]
    if not alike:
        return None
    code = kernel.scheduled.emit(_NAME, version.cpu)
    for symbol, lesser in reversed(alike):
        if tvm_ffi.structural_equal(kernel.scheduled.emit(_NAME, lesser.cpu), code):
            return symbol
    return None


def _core(target: CompileTarget) -> Any:
    """The core that LLVM orders instructions for."""
    return target.llvm.attrs.get("mcpu")
