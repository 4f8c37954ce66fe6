"""Systems on chip by name: what their makers publish, one file of `socs/` each.

A file's clusters stand in the order in which they are to work: kernels are generated for the first
one, and its cores are those that inferences run on unless others are asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hetcomp.schedules.facts import GroupFacts

from .compile_target import TargetGpu
from .gpus import find_gpu

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Cluster", "Soc", "SocGpu", "find_socs"]

_FOLDER = Path(__file__).parent / "socs"
SVM_TIERS = {"none": "event", "coarse": "event", "fine": "svm-ahead"}
"""The fastest tier that a device with this shared virtual memory can have."""


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind.

    Attributes
    ----------
    core
        LLVM's name.
    cpus
        Linux's numbers; the first one is to be used first.
    mhz
        Largest frequency.
    l2_kib
        Second-level cache that a core sees, its own or the cluster's.
    """

    core: str
    cpus: tuple[int, ...]
    mhz: int
    l2_kib: int


@dataclass(frozen=True)
class SocGpu:
    """The GPU.

    Attributes
    ----------
    name
        Its maker's.
    kind
        Key of `hetcomp.targets.gpus.GPUS`.
    svm
        Shared virtual memory that its driver offers: `none`, `coarse` or `fine`.
    compute_units, sub_group
        As in `GroupFacts`; 0 where there is no OpenCL.
    why_none
        Why it has no OpenCL; empty where it has.
    """

    name: str
    kind: str
    svm: str
    compute_units: int = 0
    sub_group: int = 0
    why_none: str = ""

    @property
    def tier(self) -> str:
        """How CPU and GPU can wait for each other at best; a probe on the device decides."""
        return "cpu" if self.why_none else SVM_TIERS[self.svm]

    @property
    def target(self) -> TargetGpu:
        """For the compiler."""
        if self.why_none:
            return TargetGpu(self.name, why_none=f"{self.name}: {self.why_none}")
        family = find_gpu(self.kind).groups or GroupFacts()
        own = replace(family, sub_group=self.sub_group, compute_units=self.compute_units)
        return TargetGpu(self.name, own)


@dataclass(frozen=True)
class Soc:
    """A system on chip: its name, where the figures are from, clusters and GPU."""

    name: str
    sources: tuple[str, ...]
    clusters: tuple[Cluster, ...]
    gpu: SocGpu

    @staticmethod
    def from_toml(data: Mapping[str, Any]) -> Soc:
        """From a file's content; a key too many or too few is a `TypeError`."""
        clusters = [{**item, "cpus": tuple(item["cpus"])} for item in data["clusters"]]
        return Soc(
            data["name"],
            tuple(data["sources"]),
            tuple(Cluster(**item) for item in clusters),
            SocGpu(**data["gpu"]),
        )

    @property
    def cpu_text(self) -> str:
        """Clusters on one line."""
        return ", ".join(
            f"{len(one.cpus)} {one.core} {one.mhz / 1000:.1f} GHz" for one in self.clusters
        )


@lru_cache
def find_socs() -> Mapping[str, Soc]:
    """All that are known, by the name that `--target` takes."""
    files = sorted(_FOLDER.glob("*.toml"))
    return {file.stem: Soc.from_toml(tomllib.loads(file.read_text("utf-8"))) for file in files}
