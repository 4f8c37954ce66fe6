"""Targets by name."""

from __future__ import annotations

from dataclasses import replace

from .arm import arm_targets
from .compile_target import CompileTarget
from .host import host_target
from .spec import parse_target

__all__ = ["find_target"]


def find_target(name: str, *, f16_products: bool = False) -> CompileTarget:
    """The target called `name`.

    Parameters
    ----------
    name
        `host`, or what `hetcomp.targets.spec.parse_target` takes.
    f16_products
        Allows for instructions that multiply float16, where the CPU has them.

    Raises
    ------
    InputError
        It is unknown, or the host is of an unknown kind.
    """
    if name == "host":
        return host_target(f16_products=f16_products)
    spec = parse_target(name)
    target = arm_targets(spec.triple, spec.cpus, f16_products=f16_products)
    target = replace(target, triple=spec.triple, gpu=spec.gpu)
    if spec.soc is None:
        return target
    # Of another cluster's core where `cpu=` names it; the first one's where none has such cores.
    clusters = spec.soc.clusters
    cluster = next((one for one in clusters if one.core in spec.cpus), clusters[0])
    target = replace(target, name=f"{name} {target.name}", cores=cluster.cpus)
    return target.with_scratch(cluster.l2_kib << 10)
