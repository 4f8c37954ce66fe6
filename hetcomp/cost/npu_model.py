"""A simple model of an NPU's driver: time by multiplications and bytes, and the way there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from hetcomp.cost.npu_cost import WayThere

__all__ = ["NpuModel", "NpuWork", "fit_npu"]


@dataclass(frozen=True)
class NpuWork:
    """What a task has to do: millions of multiplications, and KiB of weights and activations."""

    mmac: float
    kib: float


@dataclass(frozen=True)
class NpuModel:
    """Time of a task within a region: a sum of three parts, none below 0.

    Attributes
    ----------
    task_us, us_per_mmac, us_per_kib
        Of every task, and by its work.
    way
        What a region costs besides.
    error_percent
        Median error over the layers that it was fitted to.
    """

    task_us: float
    us_per_mmac: float
    us_per_kib: float
    way: WayThere
    error_percent: float

    def time_us(self, work: NpuWork) -> float:
        """Time of a task in microseconds."""
        return self.task_us + self.us_per_mmac * work.mmac + self.us_per_kib * work.kib

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> NpuModel:
        """Inverse of `to_json`; raises KeyError, TypeError."""
        return NpuModel(**{**data, "way": WayThere(**data["way"])})


def fit_npu(works: Sequence[NpuWork], times_us: Sequence[float], way: WayThere) -> NpuModel:
    """The model with the least squares of relative errors."""
    times = np.array(times_us)
    parts = np.array([[1.0, work.mmac, work.kib] for work in works])
    factors, _ = nnls(parts / times[:, None], np.ones(len(times)))
    errors = np.abs(parts @ factors / times - 1.0)
    task_us, us_per_mmac, us_per_kib = map(float, factors)
    return NpuModel(task_us, us_per_mmac, us_per_kib, way, 100.0 * float(np.median(errors)))
