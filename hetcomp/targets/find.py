"""Targets by name."""

from __future__ import annotations

from dataclasses import replace

from .arm import arm_target
from .compile_target import CompileTarget
from .gpus import find_gpu
from .host import host_target
from .spec import parse_target

__all__ = ["find_target"]


def find_target(name: str, *, f16_products: bool = False) -> CompileTarget:
    """The target called `name`.

    Parameters
    ----------
    name
        `host`, or `TRIPLE[,cpu=NAME][,gpu=KIND]`.
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
    target = arm_target(spec.triple, spec.cpu, f16_products=f16_products)
    return replace(target, triple=spec.triple, gpu=find_gpu(spec.gpu))
