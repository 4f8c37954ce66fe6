"""What `--target` says: a platform, its CPU and its GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetcomp.errors import InputError

from .compile_target import TargetGpu
from .gpus import find_gpu
from .socs import Soc, find_socs

__all__ = ["TRIPLES", "TargetSpec", "parse_target"]

TRIPLES = ("aarch64-linux-gnu", "aarch64-linux-android")
"""Platforms that can be compiled for, besides `host`."""
_KEYS = ("cpu", "gpu", "os")
_SYSTEMS = {"linux": TRIPLES[0], "android": TRIPLES[1]}


@dataclass(frozen=True)
class TargetSpec:
    """A machine that is not here.

    Attributes
    ----------
    triple
        One of `TRIPLES`.
    cpus
        LLVM's names of the cores that one file is to serve; none: any.
    gpu
        The OpenCL device.
    soc
        The system on chip, where it was named.
    """

    triple: str
    cpus: tuple[str, ...]
    gpu: TargetGpu
    soc: Soc | None = None


def parse_target(text: str) -> TargetSpec:
    """From `TRIPLE[,cpu=NAME[+NAME...]][,gpu=KIND]`, or `SOC[,os=linux|android]` with the same.

    Raises
    ------
    InputError
        It is of another form, or the machine is unknown.
    """
    name, *settings = text.split(",")
    given = _settings(text, settings)
    gpu = find_gpu(given["gpu"]) if "gpu" in given else None
    if name in TRIPLES:
        if "os" in given:
            raise InputError(f"target '{text}': the system is {name}; os is for a named machine")
        return TargetSpec(name, _cpus(given.get("cpu")), gpu or find_gpu("gpu"))
    soc = find_socs().get(name)
    if soc is None:
        raise InputError(
            f"target '{name}' is unknown; this version compiles for host, for "
            f"{', '.join(TRIPLES)}, and for {', '.join(find_socs())}"
        )
    system = given.get("os", "linux")
    if system not in _SYSTEMS:
        raise InputError(f"target '{text}': os is {' or '.join(_SYSTEMS)}, got '{system}'")
    cpus = _cpus(given.get("cpu", soc.clusters[0].core))
    return TargetSpec(_SYSTEMS[system], cpus, gpu or soc.gpu.target, soc)


def _cpus(text: str | None) -> tuple[str, ...]:
    cpus = tuple(text.split("+")) if text else ()
    if "" in cpus:
        raise InputError(f"target: cpu '{text}' has a name missing beside '+'")
    return cpus


def _settings(text: str, settings: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in _KEYS or not equals or not value or key in found:
            raise InputError(
                f"target '{text}': '{setting}' is not one of "
                f"{', '.join(f'{known}=...' for known in _KEYS)}, each once"
            )
        found[key] = value
    return found
