"""Times of parts of tasks: what a planner asks, whoever knows the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hetcomp.cost.costs import Costs
from hetcomp.cost.work import Part

__all__ = ["KnownTimes", "MeasuredTimes", "Stretched", "Times", "times_of"]


class Times(Protocol):
    """Time of any part of any task of one graph, dispatch and synchronisation not included."""

    def times_us(self, parts: Sequence[Part]) -> NDArray[np.float64]:
        """Times of `parts` in microseconds, shape (len(parts),); inf where a part cannot run."""


def times_of(times: Times, parts: Iterable[Part]) -> dict[Part, float]:
    """The time of each of `parts`, asked once for all of them."""
    wanted = list(dict.fromkeys(parts))
    if not wanted:
        return {}
    return dict(zip(wanted, times.times_us(wanted).tolist(), strict=True))


class KnownTimes:
    """Times of the parts in `time_us`; of others it is not known that they can run."""

    def __init__(self, time_us: Mapping[Part, float]) -> None:
        self._time_us = time_us

    def times_us(self, parts: Sequence[Part]) -> NDArray[Any]:
        """Times of `parts` in microseconds."""
        return np.array([self._time_us.get(part, np.inf) for part in parts], dtype=np.float64)


class MeasuredTimes:
    """Times between those that were measured: a line through the whole task and one cut.

    A cut by rows still reads all weights, and what a cut leaves may fit a cache that the whole does
    not: half the tiles do not take half the time. Where no cut was measured they do.

    Parameters
    ----------
    costs
        Measured times of whole tasks and of parts.
    grids
        Row and channel tiles of every task.
    launch_us
        What a launch takes of each measured time of the GPU; it is left out of the answers.
    """

    def __init__(
        self, costs: Costs, grids: Sequence[tuple[int, int]], launch_us: float = 0.0
    ) -> None:
        self._launch_us = launch_us
        self._whole_us = {
            "cpu": [cost.cpu_us for cost in costs.tasks],
            "gpu": [self._unlaunched(cost.gpu_us) for cost in costs.tasks],
        }
        self._grids = grids
        self._cuts = {
            (time.part.task, time.part.processor, self._is_rows(time.part)): time
            for time in costs.parts
        }

    def times_us(self, parts: Sequence[Part]) -> NDArray[Any]:
        """Times of `parts` in microseconds."""
        return np.array([self._time_us(part) for part in parts], dtype=np.float64)

    def _time_us(self, part: Part) -> float:
        rows, channels = self._grids[part.task]
        tiles, all_tiles = part.tiles, rows * channels
        whole_us = float(self._whole_us[part.processor][part.task])
        cut = self._cuts.get((part.task, part.processor, self._is_rows(part)))
        if cut is None or tiles == all_tiles:
            return whole_us * tiles / all_tiles
        cut_us = cut.time_us if part.processor == "cpu" else self._unlaunched(cut.time_us)
        slope = (whole_us - cut_us) / (all_tiles - cut.part.tiles)
        if slope < 0.0:
            return cut_us * tiles / cut.part.tiles
        return max(0.0, cut_us + slope * (tiles - cut.part.tiles))

    def _unlaunched(self, gpu_us: float | None) -> float:
        return np.inf if gpu_us is None else max(0.0, gpu_us - self._launch_us)

    def _is_rows(self, part: Part) -> bool:
        return part.row_end - part.row_begin < self._grids[part.task][0]


class Stretched:
    """Times with processors that take so many times as long as `times` says."""

    def __init__(self, times: Times, gpu: float, cpu: float = 1.0) -> None:
        self._times, self._factors = times, {"cpu": cpu, "gpu": gpu}

    def times_us(self, parts: Sequence[Part]) -> NDArray[Any]:
        """Times of `parts` in microseconds."""
        factors = [self._factors[part.processor] for part in parts]
        return np.asarray(self._times.times_us(parts) * np.array(factors))
