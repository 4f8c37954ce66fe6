"""Errors of the cost models on shapes that they have not seen, in folds grouped by shape."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hetcomp.bench.phone_ops import PHONES, phone_samples
from hetcomp.cost.booster import TrainOptions
from hetcomp.cost.predictor import PredictedTimes, Predictor, processors_of
from hetcomp.cost.profile import DeviceProfile, KernelSample
from hetcomp.cost.roofline import ProcessorFacts
from hetcomp.cost.validation import Errors, cross_predict, validate
from hetcomp.cost.work import Part
from hetcomp.errors import InputError

__all__ = ["ErrorRow", "phone_errors", "prediction_us", "profile_errors"]

_BATCH = 4096
"""Parts that a planner may ask for at once."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class ErrorRow:
    """Errors of one model: of which device, and of which `family.processor` or `all`."""

    device: str
    model: str
    least_us: float
    errors: Errors

    def to_json(self) -> dict[str, Any]:
        """Plain data, errors beside the rest."""
        own = {"device": self.device, "model": self.model, "least_us": self.least_us}
        return {**own, **asdict(self.errors)}


def profile_errors(
    profile: DeviceProfile, least_us: Sequence[float], options: TrainOptions, folds: int
) -> list[ErrorRow]:
    """Errors of models trained on the samples of `profile`, by the least time that counts.

    Raises
    ------
    InputError
        The profile has no samples.
    """
    facts = processors_of(profile)
    return _rows(profile.device, profile.samples, facts, least_us, options, folds)


def prediction_us(profile: DeviceProfile) -> float:
    """Processor time of one prediction in a batch, by the models of `profile`, in microseconds."""
    works = [sample.work for sample in profile.samples if sample.work.processor == "cpu"]
    times = PredictedTimes(Predictor.of_profile(profile), works, [])
    parts = [
        Part(task, "cpu", 0, -(-work.rows * (1 + number % 8) // 8), 0, work.channels)
        for number in range(_BATCH // max(1, len(works)) + 1)
        for task, work in enumerate(works)
    ]
    times.times_us(parts)
    begin = time.process_time()
    times.times_us(parts)
    return 1e6 * (time.process_time() - begin) / max(1, len(parts))


def phone_errors(
    path: Path, options: TrainOptions, folds: int, progress: Progress
) -> list[ErrorRow]:
    """Errors on the published times of phones' GPUs, see `hetcomp.bench.phone_ops`."""
    rows = []
    for number, phone in enumerate(PHONES):
        progress(phone.name, number / len(PHONES))
        samples = phone_samples(path, phone)
        rows += _rows(phone.name, samples, {"gpu": phone.facts}, (0.0,), options, folds)
    return rows


def _rows(
    device: str,
    samples: Sequence[KernelSample],
    processors: Mapping[str, ProcessorFacts],
    least_us: Sequence[float],
    options: TrainOptions,
    folds: int,
) -> list[ErrorRow]:
    if len({sample.group for sample in samples}) < folds:
        raise InputError(f"{device}: fewer shapes than the {folds} folds to part them into")
    found = cross_predict(samples, processors, options, folds)
    return [
        ErrorRow(device, model, least, errors)
        for least in least_us
        for model, errors in sorted(validate(samples, found, least).items())
    ]
