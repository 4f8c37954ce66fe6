"""What an NPU's driver takes: for every task, and to get a region there and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

__all__ = ["NpuCost", "SeenWay", "WayThere", "fit_way"]

_EXACT = ("reference", "amx")
"""Drivers that compute the CPU's bits. Others may be off by one quantum a layer: no harm where a
whole task is theirs, a seam in the middle of one that is shared."""


@dataclass(frozen=True)
class WayThere:
    """From the CPU to the NPU and back, by what crosses.

    Attributes
    ----------
    submit_us, collect_us
        CPU time to hand a region over and to take it back, without copies.
    latency_us
        Time in which neither works on it: until the driver's thread has woken up, and the CPU.
    copy_ns_per_byte
        To copy inputs and outputs, CPU time too.
    """

    submit_us: float
    collect_us: float
    latency_us: float
    copy_ns_per_byte: float

    @property
    def fixed_us(self) -> float:
        """Of every region, however small."""
        return self.submit_us + self.collect_us + self.latency_us

    def copy_us(self, size_bytes: float) -> float:
        """To copy so many bytes there, or back."""
        return size_bytes * self.copy_ns_per_byte / 1e3


@dataclass(frozen=True)
class NpuCost:
    """Times of a graph on one driver.

    Attributes
    ----------
    driver
        Its name.
    task_us
        By task: its time within a region; None where the driver takes it not.
    way
        What a region costs besides.
    """

    driver: str
    task_us: tuple[float | None, ...]
    way: WayThere

    @property
    def shares(self) -> bool:
        """Whether the CPU may share a task with it."""
        return self.driver in _EXACT

    def knows(self, tasks: Iterable[int]) -> bool:
        """Whether the driver takes all of these."""
        return all(self.task_us[task] is not None for task in tasks)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> NpuCost:
        """Inverse of `dataclasses.asdict`."""
        return NpuCost(data["driver"], tuple(data["task_us"]), WayThere(**data["way"]))


@dataclass(frozen=True)
class SeenWay:
    """The way of one region in one inference, in microseconds.

    Attributes
    ----------
    size_bytes
        Inputs and outputs.
    overhead_us
        From the beginning of the hand-over to the end of taking back, without the NPU's own time.
    submit_us, collect_us
        Of these the CPU's time to hand over and, once the NPU had ended, to take back; copies are
        in both.
    """

    size_bytes: float
    overhead_us: float
    submit_us: float
    collect_us: float


def fit_way(seen: Sequence[SeenWay]) -> WayThere:
    """The way there from what was seen of regions of several sizes."""
    sizes = np.array([item.size_bytes for item in seen])
    slope_us, fixed_us = _line(sizes, np.array([item.overhead_us for item in seen]))
    # Inputs and outputs are about equal halves of what is copied.
    copies_us = slope_us * float(np.median(sizes)) / 2.0
    submit_us, collect_us = (
        min(fixed_us / 2.0, max(0.0, median(times) - copies_us))
        for times in ([item.submit_us for item in seen], [item.collect_us for item in seen])
    )
    return WayThere(submit_us, collect_us, fixed_us - submit_us - collect_us, slope_us * 1e3)


def _line(sizes: Any, times_us: Any) -> tuple[float, float]:
    """Slope and height of the line through the points, neither below 0."""
    if np.ptp(sizes) == 0.0:
        return 0.0, float(np.median(times_us))
    slope, height = np.polyfit(sizes, times_us, 1)
    if slope <= 0.0:
        return 0.0, float(np.median(times_us))
    if height <= 0.0:
        return float((sizes @ times_us) / (sizes @ sizes)), 0.0
    return float(slope), float(height)
