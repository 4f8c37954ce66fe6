"""How far quantised values are from float ones, summed up over samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .samples import Array

__all__ = ["Deviation", "DeviationSum", "decibel"]


@dataclass(frozen=True)
class Deviation:
    """Error of a tensor over all samples.

    Attributes
    ----------
    sqnr_db
        Signal to quantisation noise, `10 log10(sum x^2 / sum (x - q)^2)`; infinite without error.
    max_error
        Largest `|x - q|`.
    max_value
        Largest `|x|`.
    """

    sqnr_db: float
    max_error: float
    max_value: float

    @property
    def relative_error(self) -> float:
        """Largest error over largest value."""
        if self.max_value > 0.0:
            return self.max_error / self.max_value
        return math.inf if self.max_error > 0.0 else 0.0


@dataclass
class DeviationSum:
    """Sums of squares and largest values so far."""

    signal: float = 0.0
    noise: float = 0.0
    max_error: float = field(default=0.0)
    max_value: float = field(default=0.0)

    def add(self, expected: Array, got: Array) -> None:
        """One more sample; where the float value is not finite, nothing is compared."""
        finite = np.isfinite(expected)
        x, q = expected[finite].astype(np.float64), got[finite].astype(np.float64)
        if not x.size:
            return
        error = np.abs(x - q)
        self.signal += float(np.square(x).sum())
        self.noise += float(np.square(error).sum())
        self.max_error = max(self.max_error, float(error.max()))
        self.max_value = max(self.max_value, float(np.abs(x).max()))

    @property
    def noise_share(self) -> float:
        """Noise over signal."""
        if self.signal > 0.0:
            return self.noise / self.signal
        return math.inf if self.noise > 0.0 else 0.0

    def result(self) -> Deviation:
        """The error so far."""
        return Deviation(decibel(self.noise_share), self.max_error, self.max_value)


def decibel(noise_share: float) -> float:
    """Signal to noise in dB."""
    return math.inf if noise_share == 0.0 else -10.0 * math.log10(noise_share)
