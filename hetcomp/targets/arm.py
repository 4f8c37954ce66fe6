"""64-bit ARM CPUs as targets: by LLVM's name of the core, or by the features that Linux reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from functools import lru_cache
from typing import Any

import tvm
from tvm.target import codegen

from hetcomp.errors import InputError
from hetcomp.schedules.facts import OpenclCpuFacts

from .arm_cores import ARM_CORES, ARM_LEVELS, arm_cpu
from .compile_target import CompileTarget, make_target

__all__ = ["arm_cpus", "arm_target", "arm_targets"]

_LINUX_NAMES = {
    "neon": ("asimd",),
    "fullfp16": ("fphp", "asimdhp"),
    "rdm": ("asimdrdm",),
    "dotprod": ("asimddp",),
    "fp16fml": ("asimdfhm",),
    "complxnum": ("fcma",),
    "jsconv": ("jscvt",),
    "i8mm": ("i8mm",),
    "bf16": ("bf16",),
    "cssc": ("cssc",),
    "mops": ("mops",),
}
"""LLVM's features whose instructions it may use unasked, and Linux's names of them."""
_REFUSED = {"asimdhp": "-fullfp16", "asimddp": "-dotprod"}
"""Optional in some cores that LLVM takes to have them."""


def arm_target(
    triple: str, cpu: str = "", features: Set[str] = frozenset(), *, f16_products: bool = True
) -> CompileTarget:
    """An ARM CPU.

    Parameters
    ----------
    triple
        LLVM's and the C++ compiler's name of the platform.
    cpu
        LLVM's name of the core, such as `cortex-a76`. Empty: any core that has `features`.
    features
        By Linux's names; `cpu` has its own.
    f16_products
        Whether kernels may multiply float16 where the core does.

    Raises
    ------
    InputError
        LLVM does not know the core.
    """
    if cpu:
        features = _features_of(triple, cpu)
    used = features if f16_products else features - {"asimdhp"}
    found = arm_cpu(frozenset(used), cpu)
    llvm: dict[str, Any] = found.llvm(triple)
    if cpu:
        llvm["mattr"] += [flag for name, flag in _REFUSED.items() if name not in features]
    name = f"aarch64 {cpu or found.facts.name}"
    return make_target(name, llvm, found.facts, OpenclCpuFacts.NEON, tuple(sorted(_needs(llvm))))


def arm_targets(
    triple: str, cpus: Sequence[str] = (), *, f16_products: bool = True
) -> CompileTarget:
    """One file for several ARM CPUs: the target of the least, with the others as its `more`.

    Parameters
    ----------
    triple, f16_products
        As in `arm_target`.
    cpus
        LLVM's names of the cores; of those with equal features the first one's order of
        instructions serves all. None: any core, with versions for newer ones.

    Raises
    ------
    InputError
        LLVM does not know a core, or none of them has only what all others have too.
    """
    found = [arm_target(triple, cpu, f16_products=f16_products) for cpu in cpus] or [
        arm_target(triple, features=level, f16_products=f16_products) for level in ARM_LEVELS
    ]
    distinct = {frozenset(one.needs): one for one in reversed(found)}
    least, *more = sorted(distinct.values(), key=lambda one: len(one.needs))
    unlike = next((one.name for one in more if not {*least.needs} <= {*one.needs}), None)
    if unlike is not None:
        raise InputError(f"target: {unlike} lacks what {least.name} has; name an older CPU too")
    return replace(least, more=tuple(reversed(more)))


@lru_cache
def arm_cpus(triple: str) -> tuple[str, ...]:
    """The cores that LLVM knows, sorted."""
    target = tvm.target.Target({"kind": "llvm", "mtriple": triple})
    return tuple(sorted(str(name) for name in codegen.llvm_get_cpu_archlist(target)))


def _features_of(triple: str, cpu: str) -> frozenset[str]:
    """Features of a core; LLVM has to know it, as it orders instructions for it."""
    if cpu not in arm_cpus(triple):
        known = ", ".join(name for name in arm_cpus(triple) if name.startswith("cortex-"))
        raise InputError(f"LLVM knows no ARM CPU '{cpu}'; it knows {known} and others")
    if cpu in ARM_CORES:
        return ARM_CORES[cpu]
    return _needs({"kind": "llvm", "mtriple": triple, "mcpu": cpu, "mattr": ["-sve"]})


def _needs(llvm: Mapping[str, Any]) -> frozenset[str]:
    """What code for the LLVM target `llvm` may use, by Linux's names."""
    own = {str(feature) for feature in codegen.llvm_get_cpu_features(tvm.target.Target({**llvm}))}
    return frozenset(name for one in own for name in _LINUX_NAMES.get(one, ()))
