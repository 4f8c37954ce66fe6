"""What a session has measured of itself while it ran. Frozen data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SessionStats", "StepAverage", "parse_stats"]


@dataclass(frozen=True)
class StepAverage:
    """Moving averages of one step of the plan in use.

    Attributes
    ----------
    task, processor
        Which; `cpu` or `gpu`.
    predicted_us
        Time that was predicted when compiling; 0 where it was not.
    mean_us, wait_us
        Time, and wait for the other processor before it.
    count
        Inferences that went into the averages: of a GPU step those in which the CPU was watching
        when it ended, of another processor's clock nothing is known.
    """

    task: str
    processor: str
    predicted_us: float
    mean_us: float
    wait_us: float
    count: int


@dataclass(frozen=True)
class SessionStats:
    """Moving averages over the inferences of the plan in use; the latest weighs a sixteenth.

    Attributes
    ----------
    plan
        The plan in use.
    runs, fallbacks, timeouts
        As in `SessionStatus`.
    walks
        Inferences by the plan in use.
    total_us
        Time of one, without copies of inputs and outputs.
    cpu_wait_us
        Thereof the CPU's wait for the OpenCL device.
    cpu_busy_share, gpu_busy_share
        Parts of that time in which either processor ran steps; the device's is inferred from the
        ends that the CPU saw.
    steps
        Every step of the plan in use.
    """

    plan: str
    runs: int
    fallbacks: int
    timeouts: int
    walks: int
    total_us: float
    cpu_wait_us: float
    cpu_busy_share: float
    gpu_busy_share: float
    steps: tuple[StepAverage, ...]


def parse_stats(data: Mapping[str, Any]) -> SessionStats:
    """The runtime's JSON as data classes."""
    steps = tuple(StepAverage(**step) for step in data["steps"])
    return SessionStats(**{**data, "steps": steps})
