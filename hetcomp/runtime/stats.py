"""What a session has measured of itself while it ran. Frozen data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Adaptation", "SessionStats", "StepAverage", "Switch", "parse_stats"]


@dataclass(frozen=True)
class StepAverage:
    """Moving averages of one step of the plan in use.

    Attributes
    ----------
    task, processor
        Which; `cpu`, `gpu` or `npu`. A region of the NPU has the name of its first task.
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
class Switch:
    """A change of plan after so many inferences, and why."""

    run: int
    from_plan: str
    to_plan: str
    reason: str


@dataclass(frozen=True)
class Adaptation:
    """How the session follows the load.

    Attributes
    ----------
    active
        Whether plans change: see `hetcomp.load`.
    cpu_slowdown, gpu_slowdown
        How many times as long as predicted either processor takes, as far as can be seen; 1 where
        `active` is false.
    trials
        Plans that were tried for a few inferences.
    switches
        The latest changes of plan.
    """

    active: bool
    cpu_slowdown: float
    gpu_slowdown: float
    trials: int
    switches: tuple[Switch, ...]


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
    cpu_busy_share, gpu_busy_share, npu_busy_share
        Parts of that time in which each processor ran steps; the device's is inferred from the
        ends that the CPU saw, and the CPU's contains its waits for the NPU.
    gpu_slice_us
        Limit of a launch that was asked for (`load(gpu_slice_us=)`); 0: none. It holds as far as
        the predictions do.
    gpu_steps_over_slice
        The OpenCL device's steps for which it does not hold even so: steps with tickets and steps
        without a prediction, which stay whole, and those of tiles that cannot be cut so short.
    longest_gpu_us
        Time of an inference's longest launch, for which another client of the device may have to
        wait. One launch of all steps counts from the first step's start to the last one's end;
        ends that the CPU did not see are inferred as in the trace.
    adaptation
        How plans change with the load.
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
    gpu_slice_us: float
    gpu_steps_over_slice: int
    longest_gpu_us: float
    npu_busy_share: float
    adaptation: Adaptation
    steps: tuple[StepAverage, ...]


def parse_stats(data: Mapping[str, Any]) -> SessionStats:
    """The runtime's JSON as data classes."""
    steps = tuple(StepAverage(**step) for step in data["steps"])
    found = data["adaptation"]
    switches = tuple(Switch(**switch) for switch in found["switches"])
    adaptation = Adaptation(**{**found, "switches": switches})
    return SessionStats(**{**data, "steps": steps, "adaptation": adaptation})
