"""Targets: which instruction set and register file the kernels are generated for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import tvm

from hetcomp.arm_cores import arm_cpu
from hetcomp.devices import describe_cpu
from hetcomp.devices.info import CacheInfo
from hetcomp.errors import InputError
from hetcomp.schedules.facts import CpuFacts, DeviceFacts, OpenclCpuFacts

__all__ = ["CompileTarget", "find_target"]

_SECOND_LEVEL = 2
_F16_PRODUCTS = frozenset({"avx512_fp16", "asimdhp"})
"""CPU features that multiply vectors of float16."""


@dataclass(frozen=True)
class CompileTarget:
    """A processor pair.

    Attributes
    ----------
    name
        What is written into the artifact.
    llvm
        TVM target of the CPU kernels.
    cpu, opencl
        Register files; `opencl` describes an OpenCL device that is a CPU of the same kind.
    """

    name: str
    llvm: Any
    cpu: DeviceFacts
    opencl: DeviceFacts

    def within(self, local_bytes: int) -> CompileTarget:
        """The same for an OpenCL device with so much local memory, where its kernels keep what the
        CPU's keep in the cache; both have the same tiles. 0 is not known."""
        if not local_bytes:
            return self
        size = min(self.cpu.scratch_bytes, local_bytes)
        cpu, opencl = (replace(facts, scratch_bytes=size) for facts in (self.cpu, self.opencl))
        return replace(self, cpu=cpu, opencl=opencl)


def find_target(name: str, *, f16_products: bool = False) -> CompileTarget:
    """The target called `name`; this version knows `host`.

    `f16_products` allows for instructions that multiply float16, where the CPU has them.

    Raises
    ------
    InputError
        Another target is asked for, or the host is of an unknown kind.
    """
    if name != "host":
        raise InputError(
            f"target '{name}' is not in this version; it compiles for 'host', the machine it "
            "runs on"
        )
    cpu = describe_cpu().cpu
    assert cpu is not None
    features = frozenset(cpu.features) - (frozenset() if f16_products else _F16_PRODUCTS)
    if cpu.machine in ("x86_64", "AMD64"):
        return _of_this_machine(_x86(features), cpu.caches)
    if cpu.machine in ("aarch64", "arm64"):
        return _of_this_machine(_arm(features), cpu.caches)
    raise InputError(f"no kernels for a host of machine '{cpu.machine}'; x86_64 and aarch64 have")


def _of_this_machine(target: CompileTarget, caches: Sequence[CacheInfo]) -> CompileTarget:
    """`target` with the second-level cache that this machine has."""
    sizes = [cache.size_bytes for cache in caches if cache.level == _SECOND_LEVEL]
    if not sizes:
        return target
    cpu = replace(target.cpu, scratch_bytes=max(sizes))
    opencl = replace(target.opencl, scratch_bytes=max(sizes))
    return replace(target, cpu=cpu, opencl=opencl)


def _x86(features: frozenset[str]) -> CompileTarget:
    if {"avx512f", "avx512bw", "avx512vl"} <= features:
        llvm: dict[str, Any] = {
            "kind": "llvm",
            "mcpu": "skylake-avx512",
            "mattr": ["-prefer-256-bit"],
        }
        if "avx512_vnni" in features:
            llvm["mattr"].append("+avx512vnni")
            if "avx512_fp16" in features:
                llvm["mattr"].append("+avx512fp16")
                facts = CpuFacts.AVX512_FP16
                return _target("x86_64 avx512-fp16", llvm, facts, OpenclCpuFacts.AVX512)
            return _target("x86_64 avx512-vnni", llvm, CpuFacts.AVX512_VNNI, OpenclCpuFacts.AVX512)
        return _target("x86_64 avx512", llvm, CpuFacts.AVX512, OpenclCpuFacts.AVX512)
    if {"avx2", "fma"} <= features:
        llvm = {"kind": "llvm", "mcpu": "haswell"}
        if "avx_vnni" in features:
            llvm["mattr"] = ["+avxvnni"]
            return _target("x86_64 avx2-vnni", llvm, CpuFacts.AVX2_VNNI, OpenclCpuFacts.AVX2)
        return _target("x86_64 avx2", llvm, CpuFacts.AVX2, OpenclCpuFacts.AVX2)
    llvm = {"kind": "llvm", "mcpu": "x86-64"}
    return _target("x86_64 sse2", llvm, CpuFacts.SSE, OpenclCpuFacts.SSE)


def _arm(features: frozenset[str], core: str = "") -> CompileTarget:
    cpu = arm_cpu(features, core)
    return _target(f"aarch64 {cpu.facts.name}", cpu.llvm(), cpu.facts, OpenclCpuFacts.NEON)


def _target(
    name: str, llvm: dict[str, Any], cpu: DeviceFacts, opencl: DeviceFacts
) -> CompileTarget:
    # One thread: hetcomp's runtime divides the work, not TVM's.
    return CompileTarget(name, tvm.target.Target({**llvm, "num-cores": 1}), cpu, opencl)
