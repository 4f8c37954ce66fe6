"""From the samples of a device profile to its models and their errors on shapes not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hetcomp.cost.booster import TrainOptions
from hetcomp.cost.predictor import processors_of, train_predictor
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.validation import cross_predict, validate

__all__ = ["fitted", "with_models"]

_FOLDS = 4
_LEAST_US: Sequence[float] = (0.0, 50.0)
"""Errors are given of all kernels, and of those from this time on."""


def fitted(profile: DeviceProfile, options: TrainOptions | None = None) -> DeviceProfile:
    """`profile` with models trained on its samples, and with their errors on held-out shapes.

    `errors` holds, by the least time in microseconds that counts, a table by `family.processor`
    and of `all`, see `hetcomp.cost.validation.Errors`.
    """
    options = options or TrainOptions(seed=profile.seed)
    trained = with_models(profile, options)
    if len({sample.group for sample in profile.samples}) < _FOLDS:
        return trained
    found = cross_predict(profile.samples, processors_of(profile), options, _FOLDS)
    errors = {
        f"from {least:.0f} us": {
            name: table.to_json() for name, table in validate(profile.samples, found, least).items()
        }
        for least in _LEAST_US
    }
    return replace(trained, errors=errors)


def with_models(profile: DeviceProfile, options: TrainOptions) -> DeviceProfile:
    """`profile` with models trained on its samples."""
    predictor = train_predictor(profile.samples, processors_of(profile), options)
    return replace(profile, models=predictor.to_json())
