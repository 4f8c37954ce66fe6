"""Times that a planner works with: of every task on either processor, and of working together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hetcomp.cost.work import Part

__all__ = [
    "LINE_BYTES",
    "Costs",
    "PartTime",
    "Range",
    "Spread",
    "SyncCost",
    "TaskCost",
    "usual_sync",
]

LINE_BYTES = 64
"""Unit in which caches hand data over."""
_FOUR_OF_FIVE = 2.0 * 1.2816
"""Standard deviations between which four of five values of a normal distribution lie."""
_MEASURED_SPREAD = 0.05
"""Of a time that was measured, against the next time that it is taken."""


@dataclass(frozen=True)
class Spread:
    """By what part the times of a task scatter round what was predicted: standard deviations."""

    cpu: float
    gpu: float


@dataclass(frozen=True)
class Range:
    """How sure a predicted time is.

    Attributes
    ----------
    low_us, high_us
        Between these lie four of five times.
    estimated
        Whether the work lies outside what was sampled, so that the time is an analytic estimate.
    """

    low_us: float
    high_us: float
    estimated: bool

    @property
    def spread(self) -> float:
        """Standard deviation of the time's logarithm."""
        return math.log(self.high_us / self.low_us) / _FOUR_OF_FIVE if self.low_us > 0.0 else 0.0


@dataclass(frozen=True)
class TaskCost:
    """Time of one whole task on either processor alone, in microseconds.

    `gpu_us` is None where the task cannot run there, ranges where times were not predicted.
    """

    cpu_us: float
    gpu_us: float | None
    cpu_range: Range | None = None
    gpu_range: Range | None = None

    @property
    def estimated(self) -> tuple[str, ...]:
        """The processors whose time is an analytic estimate."""
        ranges = (("cpu", self.cpu_range), ("gpu", self.gpu_range))
        return tuple(name for name, found in ranges if found and found.estimated)

    @property
    def spread(self) -> Spread:
        """Of what was predicted, on top of what scatters from one inference to the next."""
        cpu, gpu = (
            math.hypot(found.spread if found else 0.0, _MEASURED_SPREAD)
            for found in (self.cpu_range, self.gpu_range)
        )
        return Spread(cpu, gpu)


@dataclass(frozen=True)
class PartTime:
    """Time of a part of a task in microseconds, measured as `TaskCost` is."""

    part: Part
    time_us: float


@dataclass(frozen=True)
class Costs:
    """Measured times of a graph.

    Attributes
    ----------
    tasks
        One `TaskCost` per task, in the order of the task graph.
    device
        Where measured.
    parts
        Times of cut tasks, where measured: at most one along each axis for a task and processor.
    """

    tasks: tuple[TaskCost, ...]
    device: str = ""
    parts: tuple[PartTime, ...] = ()

    def stretched(self, cpu: float, gpu: float) -> Costs:
        """Whole tasks with processors that are so many times slower; parts are left out."""
        tasks = (
            replace(
                cost,
                cpu_us=cost.cpu_us * cpu,
                gpu_us=None if cost.gpu_us is None else cost.gpu_us * gpu,
            )
            for cost in self.tasks
        )
        return Costs(tuple(tasks), self.device)


@dataclass(frozen=True)
class SyncCost:
    """What working together costs.

    The defaults are medians measured on two x86 cores, the second one as a PoCL device that runs
    all its steps by one launch, with flags in fine-grained shared memory and inferences that follow
    each other closely, so that each is enqueued before it is asked for. Else the first enqueue
    takes 13 to 18 µs and the device another 24 to wake up; with a launch for each step these cost
    1.1 µs to enqueue, 1.0 to start, and 1.5 µs to wait for.

    Attributes
    ----------
    split_us
        Added to every split task: both sides wait for each other.
    handover_us
        Added where one processor continues what the other one made.
    gpu_launch_us
        Part of a GPU kernel's time that does not shrink with its share.
    to_cpu_line_ns, to_gpu_line_ns
        For that processor to take over one 64-byte line that the other one wrote, and for the
        other one to get it back when it writes that memory again, as it does within an inference
        or the next one; where memory is not shared, to copy it.
    enqueue_us
        CPU time per GPU kernel enqueued ahead.
    first_enqueue_us
        CPU time of the first enqueue of an inference, with the device asleep.
    wake_us
        From the first enqueue's end to the first instruction on the device.
    border_ns
        For every row of an output that is cut by channels, to both parts: where they meet, each
        processor's prefetcher fetches lines that the other one writes. The default is the median
        over 40 layers on the machine named above.
    to_cpu_copy_us, to_gpu_copy_us
        What each copy between memories that are not shared costs besides, of mapping and commands.
    cpu_ticket_us, gpu_ticket_us
        To take a ticket, see `hetcomp.plan.plan.Mode`: the counter that both write, and the call of
        a kernel for a few tiles.
    ahead
        Whether all GPU steps are enqueued before the first one runs. Else each is when its inputs
        are ready, and waiting for the CPU contains that.
    """

    split_us: float = 0.7
    handover_us: float = 0.5
    gpu_launch_us: float = 0.2
    to_cpu_line_ns: float = 7.0
    to_gpu_line_ns: float = 7.0
    enqueue_us: float = 0.0
    first_enqueue_us: float = 0.3
    wake_us: float = 0.5
    border_ns: float = 35.0
    to_cpu_copy_us: float = 0.0
    to_gpu_copy_us: float = 0.0
    ahead: bool = True
    cpu_ticket_us: float = 0.2
    gpu_ticket_us: float = 0.4

    def enqueued_us(self, steps: int) -> float:
        """CPU time before its first step, where so many GPU steps are enqueued then."""
        return self.first_enqueue_us + self.enqueue_us * max(0, steps - 1)

    def to_cpu_us(self, size_bytes: ArrayLike) -> NDArray[Any]:
        """Time for the CPU to take over bytes that the GPU wrote, of the same shape."""
        return _crossing_us(size_bytes, self.to_cpu_line_ns, self.to_cpu_copy_us)

    def to_gpu_us(self, size_bytes: ArrayLike) -> NDArray[Any]:
        """Time for the GPU to take over bytes that the CPU wrote, of the same shape."""
        return _crossing_us(size_bytes, self.to_gpu_line_ns, self.to_gpu_copy_us)

    def border_us(self, rows: int) -> float:
        """What cutting an output of so many rows by channels costs either part."""
        return rows * self.border_ns / 1000.0


def _crossing_us(size_bytes: ArrayLike, line_ns: float, copy_us: float) -> NDArray[Any]:
    size = np.asarray(size_bytes, dtype=float)
    return np.where(size > 0.0, copy_us + size / LINE_BYTES * line_ns / 1000.0, 0.0)


_USUAL = {
    "svm": SyncCost(
        7.2, 8.4, 4.8, enqueue_us=3.8, first_enqueue_us=16.0, wake_us=23.0, ahead=False
    ),
    "event": SyncCost(
        18.8, 9.2, 6.1, enqueue_us=3.7, first_enqueue_us=23.0, wake_us=34.0, ahead=False
    ),
    "finish": SyncCost(
        54.0, 22.0, 5.7, enqueue_us=2.3, first_enqueue_us=34.0, wake_us=58.0, ahead=False
    ),
}
"""Medians of four runs of `hetcomp.profile.tiers` on the machine of the defaults, under load."""


_USUAL_COPIES: Mapping[str, Mapping[str, Any]] = {
    "coarse": {
        **{"to_cpu_line_ns": 2.6, "to_gpu_line_ns": 9.8},
        **{"to_cpu_copy_us": 3.5, "to_gpu_copy_us": 9.0},
    },
    "buffer": {
        **{"to_cpu_line_ns": 1.3, "to_gpu_line_ns": 1.3},
        **{"to_cpu_copy_us": 23.5, "to_gpu_copy_us": 24.9},
    },
}
"""Measured by `hetcomp.profile.copies` on the same machine."""


def usual_sync(tier: str, memory: str = "fine") -> SyncCost:
    """What working together costs on a device that has no profile.

    Parameters
    ----------
    tier
        How processors wait for each other.
    memory
        Where the tensors are that both use, see `SessionStatus.memory`.
    """
    return replace(_USUAL.get(tier, SyncCost()), **_USUAL_COPIES.get(memory, {}))
