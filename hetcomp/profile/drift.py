"""What kernels take on a machine whose speed drifts.

Other work on the machine slows all kernels down alike for seconds at a time (measured on two cores
of a virtual machine: by a quarter at worst, and 85% of a kernel's variation in minutes is what
all kernels share). Each inference has one factor and each of its steps one time: both are fitted
to the logarithms of all measured times, and steps get the time of the quiet inferences.
"""

from __future__ import annotations

import warnings

import numpy as np

from hetcomp.cost.launches import Array

__all__ = ["steady_us"]

_SWEEPS = 4
_LEAST_US = 3.0
"""Shorter steps say little of the machine's speed, as clocks and misses disturb them."""
_QUIET = 0.5
"""Part of the inferences, the fastest ones, that times are taken from."""
_USUAL = 0.25
"""Part of the inferences that are faster than the speed which times hold for."""


def steady_us(times_us: Array) -> Array:
    """Times of steps, shape (steps,), from those of inferences, shape (inferences, steps).

    NaN stands for a time that was not seen, and comes back for a step that never was.
    """
    logs = np.log(times_us)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # steps that were never seen
        drift = _drift(logs)
        quiet = drift <= np.quantile(drift, _QUIET)
        level = np.quantile(drift, _USUAL)
        even = logs - drift[:, None] + level
        calm, all_runs = np.nanmedian(even[quiet], axis=0), np.nanmedian(even, axis=0)
    steady: Array = np.exp(np.where(np.isnan(calm), all_runs, calm))
    return steady


def _drift(logs: Array) -> Array:
    """Logarithm of each inference's factor, by turns with the steps' times."""
    usual = np.nanmedian(logs, axis=0)
    long = usual >= np.log(_LEAST_US)
    chosen = logs[:, long] if long.any() else logs
    drift = np.zeros(len(logs))
    for _ in range(_SWEEPS):
        usual = np.nanmedian(chosen - drift[:, None], axis=0)
        drift = np.nan_to_num(np.nanmedian(chosen - usual, axis=1))
    return drift
