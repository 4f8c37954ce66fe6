"""ARM cores: which instructions each has, and what the kernels and LLVM are told of them.

A core is known by its name in LLVM and in `/proc/cpuinfo`'s part numbers; its features carry the
names that Linux gives them (`Features:` in /proc/cpuinfo). What users allow for is less: whoever
wants no products of float16 takes `asimdhp` out of the set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from hetcomp.schedules.facts import CpuFacts, DeviceFacts

__all__ = ["ARM_CORES", "ARM_LEVELS", "ArmCpu", "arm_cpu"]

_V8_0 = frozenset({"asimd"})
_V8_2 = _V8_0 | {"asimdhp", "asimddp"}
_V8_6 = _V8_2 | {"i8mm", "bf16"}
_BY_FEATURES = (
    (_V8_0, "a35 a53 a57 a72 a73"),
    (_V8_0 | {"asimdhp"}, "a75"),
    (_V8_2, "a55 a76 a77 a78 x1"),
    (_V8_6, "a510 a520 a710 a715 a720 x2 x3 x4"),
)

ARM_LEVELS = (_V8_0, _V8_2, _V8_6)
"""Features of any core, and of those that most newer ones have."""
ARM_CORES: Mapping[str, frozenset[str]] = MappingProxyType(
    {f"cortex-{name}": features for features, names in _BY_FEATURES for name in names.split()}
)
"""Features of cores, the optional ones that SoCs took among them. The first A75 came without
products of bytes, and so did the A55 beside it."""

_ATTRIBUTES = {"asimdhp": "+fullfp16", "asimddp": "+dotprod", "i8mm": "+i8mm", "bf16": "+bf16"}
"""LLVM's names of the features that kernels use. Scalable vectors they do not: phones switch SVE
off in cores that have it, and LLVM would use it of its own."""


@dataclass(frozen=True)
class ArmCpu:
    """What kernels are generated for.

    Attributes
    ----------
    facts
        Register file and instructions that kernels choose by.
    attributes
        LLVM's `mattr`.
    core
        LLVM's `mcpu`, by which it orders instructions; empty for any core.
    """

    facts: DeviceFacts
    attributes: tuple[str, ...]
    core: str = ""

    def llvm(self, triple: str = "aarch64-linux-gnu") -> dict[str, object]:
        """TVM's target, as a dictionary."""
        target: dict[str, object] = {"kind": "llvm", "mtriple": triple, "num-cores": 1}
        if self.core:
            target["mcpu"] = self.core
        return {**target, "mattr": list(self.attributes)}


def arm_cpu(features: frozenset[str], core: str = "") -> ArmCpu:
    """The CPU with `features`, those that all cores of a machine have.

    Parameters
    ----------
    features
        Linux' names; those without a meaning for kernels are left out. See `ARM_CORES`.
    core
        The core that instructions are ordered for.
    """
    used = [name for name in _ATTRIBUTES if name in features]
    attributes = ("+neon", "-sve", *(_ATTRIBUTES[name] for name in used))
    return ArmCpu(_facts(frozenset(used)), attributes, core)


def _facts(used: frozenset[str]) -> DeviceFacts:
    facts = CpuFacts.NEON
    if "asimdhp" in used:
        facts = replace(facts, name=f"{facts.name}-fp16", f16_products=True)
    if "bf16" in used:
        facts = replace(facts, name=f"{facts.name}-bf16", bf16_products=True)
    if "i8mm" in used:
        return replace(facts, name=f"{facts.name}-i8mm", dot="usdot")
    if "asimddp" in used:
        return replace(facts, name=f"{facts.name}-dotprod", dot="sdot")
    return facts
