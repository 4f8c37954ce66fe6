"""The machine that compiles, or another whose CPU is described, as the target."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hetcomp.devices import describe_cpu
from hetcomp.devices.info import CacheInfo, CpuInfo
from hetcomp.errors import InputError
from hetcomp.schedules.facts import CpuFacts, OpenclCpuFacts

from .arm import arm_target
from .compile_target import CompileTarget, make_target

__all__ = ["cpu_target", "host_target"]

_SECOND_LEVEL = 2
_F16_PRODUCTS = frozenset({"avx512_fp16", "asimdhp"})
"""CPU features that multiply vectors of float16."""
_X86_LLVM = {"kind": "llvm", "mtriple": "x86_64-linux-gnu"}
"""Said even where it is the host: boards are described to desks of another machine."""
_AVX2 = ("avx2", "fma", "f16c")
_AVX512 = (*_AVX2, "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd")
"""What LLVM's `haswell` and `skylake-avx512` have, as far as it matters to kernels."""


def host_target(*, f16_products: bool) -> CompileTarget:
    """Kernels for the CPU that compiles; `f16_products` as in `find_target`.

    Raises
    ------
    InputError
        It is of an unknown kind.
    """
    cpu = describe_cpu().cpu
    assert cpu is not None
    return cpu_target(cpu, f16_products=f16_products)


def cpu_target(cpu: CpuInfo, *, f16_products: bool = False) -> CompileTarget:
    """A CPU that has been described, here or elsewhere; of the OpenCL device nothing is said.

    Raises
    ------
    InputError
        It is of an unknown kind.
    """
    target = _described(cpu, f16_products)
    here = cpu.machine == platform.machine()
    return target if here else replace(target, triple=f"{cpu.machine}-linux-gnu")


def _described(cpu: CpuInfo, f16_products: bool) -> CompileTarget:
    features = frozenset(cpu.features) - (frozenset() if f16_products else _F16_PRODUCTS)
    if cpu.machine in ("x86_64", "AMD64"):
        return _of_this_machine(_x86(features), cpu.caches)
    if cpu.machine in ("aarch64", "arm64"):
        return _of_this_machine(_arm(features), cpu.caches)
    raise InputError(f"no kernels for a CPU of machine '{cpu.machine}'; x86_64 and aarch64 have")


def _of_this_machine(target: CompileTarget, caches: Sequence[CacheInfo]) -> CompileTarget:
    """`target` with the second-level cache that this machine has."""
    sizes = [cache.size_bytes for cache in caches if cache.level == _SECOND_LEVEL]
    return target.with_scratch(max(sizes)) if sizes else target


def _x86(features: frozenset[str]) -> CompileTarget:
    if {"avx512f", "avx512bw", "avx512vl"} <= features:
        return _avx512(features)
    if {"avx2", "fma"} <= features:
        llvm: dict[str, Any] = {**_X86_LLVM, "mcpu": "haswell"}
        if "avx_vnni" in features:
            llvm["mattr"] = ["+avxvnni"]
            needs = (*_AVX2, "avx_vnni")
            facts = CpuFacts.AVX2_VNNI
            return make_target("x86_64 avx2-vnni", llvm, facts, OpenclCpuFacts.AVX2, needs)
        return make_target("x86_64 avx2", llvm, CpuFacts.AVX2, OpenclCpuFacts.AVX2, _AVX2)
    llvm = {**_X86_LLVM, "mcpu": "x86-64"}
    return make_target("x86_64 sse2", llvm, CpuFacts.SSE, OpenclCpuFacts.SSE, ())


def _avx512(features: frozenset[str]) -> CompileTarget:
    llvm: dict[str, Any] = {**_X86_LLVM, "mcpu": "skylake-avx512", "mattr": ["-prefer-256-bit"]}
    if "avx512_vnni" not in features:
        return make_target("x86_64 avx512", llvm, CpuFacts.AVX512, OpenclCpuFacts.AVX512, _AVX512)
    llvm["mattr"].append("+avx512vnni")
    name, facts, needs = "x86_64 avx512-vnni", CpuFacts.AVX512_VNNI, ["avx512_vnni"]
    if "avx512_fp16" in features:
        llvm["mattr"].append("+avx512fp16")
        name, facts, needs = "x86_64 avx512-fp16", CpuFacts.AVX512_FP16, [*needs, "avx512_fp16"]
    return make_target(name, llvm, facts, OpenclCpuFacts.AVX512, (*_AVX512, *needs))


def _arm(features: frozenset[str]) -> CompileTarget:
    return arm_target("aarch64-linux-gnu", features=features)
