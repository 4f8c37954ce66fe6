"""What measuring needs of a session. Structural, so that nothing here imports the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.table import StepTable

__all__ = ["Feeds", "ProfilingSession", "RunTimes", "RunnableSession", "StepTimes", "Traced"]

Feeds = Mapping[str, NDArray[np.generic]]


class StepTimes(Protocol):
    """When a CPU step ran, in microseconds since the start of the inference."""

    @property
    def start_us(self) -> float:
        """Its start, after its wait."""

    @property
    def end_us(self) -> float:
        """Its end."""


class RunTimes(Protocol):
    """Time stamps of one inference, see `hetcomp.runtime.RunProfile`."""

    @property
    def total_us(self) -> float:
        """The whole inference."""

    @property
    def cpu(self) -> Sequence[StepTimes]:
        """Times of the CPU's steps."""

    @property
    def gpu_end_us(self) -> Sequence[float]:
        """When each GPU step's end was noticed; -1 where a later one was noticed first."""

    @property
    def gpu_watched(self) -> Sequence[bool]:
        """Whether the CPU was watching then; if not, the time is an upper bound."""

    @property
    def npu(self) -> Sequence[StepTimes | None]:
        """When the NPU ran each region; None where the CPU ran it instead."""


class Traced(Protocol):
    """Several traced inferences."""

    @property
    def runs(self) -> Sequence[RunTimes]:
        """One by one."""


class RunnableSession(Protocol):
    """A loaded model that can change its step table and run."""

    def set_table(self, table: StepTable) -> None:
        """Install `table` for the runs that follow."""

    def run(self, feeds: Feeds) -> Any:
        """Run one inference."""


class ProfilingSession(Protocol):
    """A loaded model that can time its steps."""

    @property
    def graph(self) -> TaskGraph:
        """The model's tasks."""

    def set_table(self, table: StepTable) -> None:
        """Install `table` for the runs that follow."""

    def profile(self, reps: int) -> Traced:
        """Run `reps` inferences with time stamps."""

    def time_task(
        self,
        task: int,
        processor: str,
        *,
        rows: Sequence[int],
        channels: Sequence[int],
        warmup: int,
        reps: int,
    ) -> Sequence[float]:
        """Time tiles of one task alone, in microseconds per execution."""
