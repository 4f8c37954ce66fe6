"""Options of `hetcomp compile` on what plan `auto` is to achieve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from hetcomp.errors import InputError
from hetcomp.goal import GRANULARITIES, OBJECTIVES, Goal

__all__ = ["goal_options", "parse_goal", "parse_size"]

_Command = TypeVar("_Command", bound=Callable[..., Any])
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def goal_options(command: _Command) -> _Command:
    """Add `--objective`, `--granularity`, `--gpu-cap`, `--watts` and `--memory-limit`."""
    options = (
        click.option(
            "--objective", type=click.Choice(OBJECTIVES), default="latency", show_default=True,
            help="What plan auto minimises: an inference's time, the busier processor's work, or "
            "watts times work.",
        ),
        click.option(
            "--granularity", type=click.Choice(GRANULARITIES), default="operator",
            show_default=True, help="What plan auto places alike.",
        ),
        click.option(
            "--gpu-cap", type=float, default=1.0, metavar="PART", show_default=True,
            help="Largest part of the time in which the GPU may be busy.",
        ),
        click.option(
            "--watts", default="", metavar="cpu=W,gpu=W",
            help="Power of the processors at work, for --objective energy.",
        ),
        click.option(
            "--memory-limit", default="", metavar="BYTES",
            help="Largest memory for activations; k, M and G are understood.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def parse_goal(objective: str, granularity: str, gpu_cap: float, watts: str) -> Goal:
    """The goal that the options name.

    Raises
    ------
    InputError
        A value is wrong, or watts and objective do not belong together.
    """
    if (objective == "energy") != bool(watts):
        raise InputError("--objective energy and --watts cpu=W,gpu=W need each other")
    power = _watts(watts) if watts else {}
    return Goal(objective, granularity, gpu_cap, **power)


def parse_size(text: str) -> int:
    """Bytes from a number with k, M or G; 0 where empty.

    Raises
    ------
    InputError
        It is none, or not above 0.
    """
    if not text:
        return 0
    digits = text.rstrip("kKmMgG")
    unit = _UNITS.get(text[len(digits) :].lower())
    if unit is None or not digits.isdecimal() or int(digits) == 0:
        raise InputError(f"--memory-limit '{text}' is no size; expected for instance 64M")
    return int(digits) * unit


def _watts(text: str) -> dict[str, float]:
    try:
        pairs = dict(item.split("=", 1) for item in text.split(","))
        found = {f"{name.strip()}_watts": float(value) for name, value in pairs.items()}
    except ValueError as error:
        raise InputError(f"--watts '{text}': expected for instance cpu=4,gpu=2.5") from error
    if found.keys() != {"cpu_watts", "gpu_watts"}:
        raise InputError(f"--watts '{text}': expected one value for cpu and one for gpu")
    return found
