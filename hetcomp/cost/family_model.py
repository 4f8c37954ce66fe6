"""The cost model of one kind of kernels on one processor.

It learns the logarithm of the measured time over the analytic estimate: what is left to learn is
how well a kernel uses the machine, which varies less than times do and holds beyond the sizes that
were sampled. Where a launch lies outside the sampled range altogether, the estimate stands in,
corrected by the usual ratio, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hetcomp.cost.booster import (
    QUANTILES,
    TrainOptions,
    booster_from_text,
    booster_to_text,
    predict,
    train,
)
from hetcomp.cost.features import FEATURES, FEATURES_VERSION, SCALES, Features, features
from hetcomp.cost.launches import Array, Launches
from hetcomp.cost.roofline import ProcessorFacts
from hetcomp.errors import ProfileError

if TYPE_CHECKING:
    import xgboost

__all__ = ["FamilyModel", "Prediction", "train_family"]

_MARGIN = 1.0
"""Powers of two beyond the sampled range where models are still trusted."""
_SCALES = [FEATURES.index(name) for name in SCALES]


@dataclass(frozen=True)
class Prediction:
    """Predicted times of n launches, shape (n,) each.

    Attributes
    ----------
    times_us
        Expected.
    low_us, high_us
        Between these lie four of five times.
    sampled
        False where the launch lies outside the sampled range: then all three are analytic.
    """

    times_us: Array
    low_us: Array
    high_us: Array
    sampled: Array


@dataclass(frozen=True)
class _Fit:
    """Launches, whether each is sampled, and the logarithm of its time over the estimate."""

    given: Features
    sampled: Array
    ratios: Array

    def times_us(self, ratios: Array) -> Array:
        """Times with these logarithms of the ratio."""
        times: Array = self.given.estimates_us * np.exp(ratios)
        return times


@dataclass(frozen=True)
class FamilyModel:
    """The model of a family on a processor.

    Attributes
    ----------
    middle, spread
        Trees for the logarithm of the time over the estimate, and for its quantiles.
    variants
        Algorithms among the samples, in the order of their numbers.
    low, high
        Sampled range of the features of scale.
    ratio
        Median of time over estimate.
    """

    middle: xgboost.Booster
    spread: xgboost.Booster
    variants: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    ratio: float

    def predict(self, launches: Launches, processor: ProcessorFacts) -> Prediction:
        """Times of launches of this family on this processor."""
        fit = self._fit(launches, processor)
        usual, ends = np.log(self.ratio), predict(self.spread, fit.given.values)
        low = np.where(fit.sampled, np.minimum(ends[:, 0], fit.ratios), usual - np.log(2.0))
        high = np.where(fit.sampled, np.maximum(ends[:, 1], fit.ratios), usual + np.log(2.0))
        times, least, most = (fit.times_us(ratios) for ratios in (fit.ratios, low, high))
        return Prediction(times, least, most, fit.sampled)

    def times_us(self, launches: Launches, processor: ProcessorFacts) -> Array:
        """Expected times alone: without the quantiles that take longer."""
        fit = self._fit(launches, processor)
        return fit.times_us(fit.ratios)

    def _fit(self, launches: Launches, processor: ProcessorFacts) -> _Fit:
        given = features(launches, processor, self.variants)
        sampled = self._sampled(given) & np.isin(launches.variants, self.variants)
        ratios = np.where(sampled, predict(self.middle, given.values), np.log(self.ratio))
        return _Fit(given, sampled, ratios)

    def _sampled(self, given: Features) -> Array:
        scales = given.values[:, _SCALES]
        inside: Array = np.all(
            (scales >= np.array(self.low) - _MARGIN) & (scales <= np.array(self.high) + _MARGIN),
            axis=1,
        )
        return inside

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "features": FEATURES_VERSION,
            "middle": booster_to_text(self.middle),
            "spread": booster_to_text(self.spread),
            "variants": list(self.variants),
            "low": list(self.low),
            "high": list(self.high),
            "ratio": self.ratio,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> FamilyModel:
        """Inverse of `to_json`.

        Raises
        ------
        ProfileError
            The model was trained on another list of features.
        """
        if data["features"] != FEATURES_VERSION:
            raise ProfileError(
                f"a model reads features of version {data['features']}, this hetcomp has "
                f"version {FEATURES_VERSION}: profile the device again"
            )
        return FamilyModel(
            middle=booster_from_text(data["middle"]),
            spread=booster_from_text(data["spread"]),
            variants=tuple(data["variants"]),
            low=tuple(data["low"]),
            high=tuple(data["high"]),
            ratio=float(data["ratio"]),
        )


def train_family(
    launches: Launches,
    times_us: Array,
    processor: ProcessorFacts,
    options: TrainOptions,
) -> FamilyModel:
    """Train the model of one family on one processor on measured times, shape (n,)."""
    variants = tuple(sorted(set(launches.variants)))
    given = features(launches, processor, variants)
    ratios = np.log(times_us / given.estimates_us)
    scales = given.values[:, _SCALES]
    return FamilyModel(
        middle=train(given.values, ratios, options),
        spread=train(given.values, ratios, options, QUANTILES),
        variants=variants,
        low=tuple(map(float, scales.min(axis=0))),
        high=tuple(map(float, scales.max(axis=0))),
        ratio=float(np.exp(np.median(ratios))),
    )
