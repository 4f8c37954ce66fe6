"""How far off cost models are on shapes that they have not seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hetcomp.cost.booster import TrainOptions
from hetcomp.cost.launches import Array
from hetcomp.cost.predictor import train_predictor
from hetcomp.cost.profile import KernelSample
from hetcomp.cost.roofline import ProcessorFacts

__all__ = ["Errors", "cross_predict", "errors_of", "validate"]

_CLOSE = 0.1


@dataclass(frozen=True)
class Errors:
    """Errors of predictions, relative to the measured time.

    Attributes
    ----------
    samples
        How many were predicted.
    mape_percent, median_percent
        Mean and median of the absolute error.
    within_10_percent
        Percentage of predictions that are at most 10% off.
    between_percent
        Percentage of times between the predicted quantiles; 80 is right.
    """

    samples: int
    mape_percent: float
    median_percent: float
    within_10_percent: float
    between_percent: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class HeldOut:
    """Measured and predicted times of samples that were not trained on, shape (n,) each."""

    measured_us: Array
    predicted_us: Array
    low_us: Array
    high_us: Array

    def where(self, mask: Array) -> HeldOut:
        """Those for which `mask` is true."""
        return HeldOut(
            self.measured_us[mask], self.predicted_us[mask], self.low_us[mask], self.high_us[mask]
        )


def errors_of(found: HeldOut) -> Errors | None:
    """Errors of `found`, None of nothing."""
    if not len(found.measured_us):
        return None
    error = np.abs(found.predicted_us / found.measured_us - 1.0)
    between = (found.low_us <= found.measured_us) & (found.measured_us <= found.high_us)
    return Errors(
        samples=len(error),
        mape_percent=float(100.0 * error.mean()),
        median_percent=float(100.0 * np.median(error)),
        within_10_percent=float(100.0 * (error <= _CLOSE).mean()),
        between_percent=float(100.0 * between.mean()),
    )


def cross_predict(
    samples: Sequence[KernelSample],
    processors: Mapping[str, ProcessorFacts],
    options: TrainOptions | None = None,
    folds: int = 5,
) -> HeldOut:
    """Predict every sample by models that saw no sample of its group."""
    columns = np.zeros((3, len(samples)))
    for held in _folds(samples, folds, (options or TrainOptions()).seed):
        out = set(held)
        seen = [sample for place, sample in enumerate(samples) if place not in out]
        predictor = train_predictor(seen, processors, options)
        found = predictor.predict([samples[place].work for place in held])
        columns[:, held] = (found.times_us, found.low_us, found.high_us)
    measured = np.array([sample.time_us for sample in samples])
    return HeldOut(measured, *columns)


def _folds(samples: Sequence[KernelSample], folds: int, seed: int) -> Iterator[list[int]]:
    """Places of the samples of each fold, groups whole, each family spread over all folds."""
    rng = np.random.default_rng(seed)
    fold: dict[str, int] = {}
    for places in _by_family(samples).values():
        names = sorted({samples[place].group for place in places} - fold.keys())
        for number, index in enumerate(rng.permutation(len(names))):
            fold[names[index]] = number % folds
    for number in range(folds):
        held = [place for place, sample in enumerate(samples) if fold[sample.group] == number]
        if held:
            yield held


def validate(
    samples: Sequence[KernelSample], found: HeldOut, least_us: float = 0.0
) -> dict[str, Errors]:
    """Errors by `family.processor`, and of `all`, of kernels of at least `least_us`."""
    chosen = {name: np.array(places) for name, places in _by_family(samples).items()}
    chosen["all"] = np.arange(len(samples))
    slow = found.measured_us >= least_us
    tables = {name: errors_of(found.where(places[slow[places]])) for name, places in chosen.items()}
    return {name: errors for name, errors in tables.items() if errors is not None}


def _by_family(samples: Sequence[KernelSample]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, sample in enumerate(samples):
        name = f"{sample.work.family}.{sample.work.processor}"
        places.setdefault(name, []).append(place)
    return places
