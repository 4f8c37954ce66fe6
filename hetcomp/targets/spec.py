"""What `--target` says: a platform, its CPU and its GPU."""

from __future__ import annotations

from dataclasses import dataclass

from hetcomp.errors import InputError

__all__ = ["TRIPLES", "TargetSpec", "parse_target"]

TRIPLES = ("aarch64-linux-gnu", "aarch64-linux-android")
"""Platforms that can be compiled for, besides `host`."""
_KEYS = ("cpu", "gpu")


@dataclass(frozen=True)
class TargetSpec:
    """A machine that is not here.

    Attributes
    ----------
    triple
        One of `TRIPLES`.
    cpu
        LLVM's name of the core; empty: any.
    gpu
        A key of `hetcomp.targets.gpus.GPUS`.
    """

    triple: str
    cpu: str = ""
    gpu: str = "gpu"


def parse_target(text: str) -> TargetSpec:
    """From `TRIPLE[,cpu=NAME][,gpu=KIND]`.

    Raises
    ------
    InputError
        It is of another form, or the platform is unknown.
    """
    triple, *settings = text.split(",")
    if triple not in TRIPLES:
        raise InputError(
            f"target '{triple}' is unknown; this version compiles for host and for "
            f"{', '.join(TRIPLES)}"
        )
    found: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in _KEYS or not equals or not value or key in found:
            raise InputError(
                f"target '{text}': '{setting}' is not one of "
                f"{', '.join(f'{known}=...' for known in _KEYS)}, each once"
            )
        found[key] = value
    return TargetSpec(triple, **found)
