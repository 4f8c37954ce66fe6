"""What the compiler needs to know of the machine that a model is compiled for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import tvm

from hetcomp.plan.cpu_version import CpuVersion
from hetcomp.schedules.facts import DeviceFacts, GroupFacts

__all__ = ["CompileTarget", "TargetGpu", "make_target"]


@dataclass(frozen=True)
class TargetGpu:
    """The OpenCL device of a machine that is not here.

    Attributes
    ----------
    name
        For messages.
    groups
        Facts for kernels of class `gpu`; None where the device is a CPU, or there is none.
    why_none
        Why the machine has no OpenCL device; empty where it has.
    """

    name: str
    groups: GroupFacts | None = None
    why_none: str = ""

    def groups_for(self, device_class: str, opencl_f16: str) -> GroupFacts | None:
        """As `hetcomp.device_class.find_groups`, for this device."""
        if device_class == "cpu-like":
            return None
        plain = GroupFacts(f16=True) if device_class == "gpu" else None
        facts = self.groups or plain
        if facts is None or opencl_f16 == "auto":
            return facts
        return replace(facts, f16=opencl_f16 == "on")


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
    needs
        Features, by Linux's names, without which the CPU cannot execute the kernels.
    triple
        Of the cross compiler; None is the host.
    gpu
        The OpenCL device; None: look at this machine's.
    cores
        Linux's numbers of the cores that inferences are to run on; empty: any.
    more
        CPUs that have more instructions, the best first, for which the same file holds kernels with
        the same tiles; the runtime takes those for the CPU that it finds.
    """

    name: str
    llvm: Any
    cpu: DeviceFacts
    opencl: DeviceFacts
    needs: tuple[str, ...] = ()
    triple: str | None = None
    gpu: TargetGpu | None = None
    cores: tuple[int, ...] = ()
    more: tuple[CompileTarget, ...] = ()

    @property
    def versions(self) -> tuple[CpuVersion, ...]:
        """What the runtime chooses from, the best first."""
        return tuple(CpuVersion(one.name, one.needs) for one in (*self.more, self))

    def within(self, local_bytes: int) -> CompileTarget:
        """The same for an OpenCL device with so much local memory, where its kernels keep what the
        CPU's keep in the cache; both have the same tiles. 0 is not known."""
        if not local_bytes:
            return self
        return self.with_scratch(min(self.cpu.scratch_bytes, local_bytes))

    def with_scratch(self, size_bytes: int) -> CompileTarget:
        """The same with so much second-level cache."""
        cpu, opencl = (replace(f, scratch_bytes=size_bytes) for f in (self.cpu, self.opencl))
        more = tuple(one.with_scratch(size_bytes) for one in self.more)
        return replace(self, cpu=cpu, opencl=opencl, more=more)


def make_target(
    name: str,
    llvm: dict[str, Any],
    cpu: DeviceFacts,
    opencl: DeviceFacts,
    needs: tuple[str, ...],
) -> CompileTarget:
    """A target whose LLVM options are `llvm`."""
    # One thread: hetcomp's runtime divides the work, not TVM's.
    return CompileTarget(name, tvm.target.Target({**llvm, "num-cores": 1}), cpu, opencl, needs)
