"""Times of parts of tasks: what a planner asks, whoever knows the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hetcomp.cost.costs import Costs
from hetcomp.cost.work import Part

__all__ = ["MeasuredTimes", "Times"]


class Times(Protocol):
    """Time of any part of any task of one graph, dispatch and synchronisation not included."""

    def times_us(self, parts: Sequence[Part]) -> NDArray[np.float64]:
        """Times of `parts` in microseconds, shape (len(parts),); inf where a part cannot run."""


class MeasuredTimes:
    """A part takes its share of the tiles of the measured time of the whole task.

    Parameters
    ----------
    costs
        Measured times of whole tasks.
    tiles
        Number of tiles of every task, rows times channels.
    launch_us
        What a launch takes of each measured time of the GPU; it is left out of the answers.
    """

    def __init__(self, costs: Costs, tiles: Sequence[int], launch_us: float = 0.0) -> None:
        gpu_us = [np.inf if cost.gpu_us is None else cost.gpu_us for cost in costs.tasks]
        self._whole_us = {
            "cpu": [cost.cpu_us for cost in costs.tasks],
            "gpu": [max(0.0, us - launch_us) for us in gpu_us],
        }
        self._tiles = tiles

    def times_us(self, parts: Sequence[Part]) -> NDArray[Any]:
        """Times of `parts` in microseconds."""
        return np.array([self._time_us(part) for part in parts], dtype=np.float64)

    def _time_us(self, part: Part) -> float:
        rows = part.row_end - part.row_begin
        channels = part.channel_end - part.channel_begin
        share = rows * channels / self._tiles[part.task]
        return float(self._whole_us[part.processor][part.task] * share)
