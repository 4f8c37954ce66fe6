"""Times of any kernels on one device: a model per kind of kernel and processor, and the estimate.

Families whose kernels are made by the same templates share a model: a linear layer and a 1x1
convolution are the same product, and of each alone a profile has few shapes (measured on one core:
8.7% error of linear layers by themselves, 7.9% together).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetcomp.cost.booster import TrainOptions
from hetcomp.cost.family_model import FamilyModel, Prediction, train_family
from hetcomp.cost.launches import Array, Launches
from hetcomp.cost.profile import DeviceProfile, KernelSample
from hetcomp.cost.roofline import ProcessorFacts, estimate, processor_facts
from hetcomp.cost.work import KernelWork, Part

__all__ = ["PredictedTimes", "Predictor", "by_model", "processors_of", "train_predictor"]

_FEWEST = 24
"""Samples below which a kind of kernel gets no model."""
_UNKNOWN = 4.0
"""Factor of uncertainty where there is no model."""

_SHARED = {
    "conv2d": "product",
    "linear": "product",
    "matmul": "product",
    "rowwise": "rows",
    "elementwise": "rows",
}
"""Kinds of kernels by family; other families are kinds of their own."""

Model = tuple[str, str]
"""Kind of kernel and processor."""


@dataclass(frozen=True)
class Predictor:
    """Cost models of one device.

    Attributes
    ----------
    models
        By kind of kernel and processor.
    processors
        Facts of `cpu` and `gpu`.
    """

    models: Mapping[Model, FamilyModel]
    processors: Mapping[str, ProcessorFacts]

    def predict(self, works: Sequence[KernelWork]) -> Prediction:
        """Times of `works`, in their order."""
        columns = np.empty((4, len(works)))
        for model, places in by_model(works).items():
            found = self.of_model(model, Launches.of([works[place] for place in places]))
            columns[:, places] = (found.times_us, found.low_us, found.high_us, found.sampled)
        times, low, high, sampled = columns
        return Prediction(times, low, high, sampled.astype(bool))

    def of_model(self, model: Model, launches: Launches) -> Prediction:
        """Times of launches that all belong to `model`."""
        facts = self.processors[model[1]]
        if model in self.models:
            return self.models[model].predict(launches, facts)
        times = estimate(launches, facts).total_us
        nowhere = np.zeros(len(launches), dtype=bool)
        return Prediction(times, times / _UNKNOWN, times * _UNKNOWN, nowhere)

    def times_us(self, model: Model, launches: Launches) -> Array:
        """Expected times alone of launches that all belong to `model`."""
        facts = self.processors[model[1]]
        if model in self.models:
            return self.models[model].times_us(launches, facts)
        return estimate(launches, facts).total_us

    def to_json(self) -> dict[str, Any]:
        """Plain data for `DeviceProfile.models`."""
        return {".".join(model): found.to_json() for model, found in self.models.items()}

    @staticmethod
    def of_profile(profile: DeviceProfile) -> Predictor:
        """The models that a profile holds.

        Raises
        ------
        ProfileError
            They were trained on another list of features.
        """
        models = {}
        for name, data in profile.models.items():
            kind, _, processor = name.rpartition(".")
            models[kind, processor] = FamilyModel.from_json(data)
        return Predictor(models, processors_of(profile))


def processors_of(profile: DeviceProfile) -> dict[str, ProcessorFacts]:
    """Facts of both processors of a profiled device."""
    return {
        processor: processor_facts(processor, profile.limits, profile.machine)
        for processor in ("cpu", "gpu")
    }


def model_of(work: KernelWork) -> Model:
    """The model that `work` belongs to."""
    return _SHARED.get(work.family, work.family), work.processor


def by_model(works: Sequence[KernelWork]) -> dict[Model, list[int]]:
    """Places of `works` by the model that they belong to."""
    places: dict[Model, list[int]] = defaultdict(list)
    for place, work in enumerate(works):
        places[model_of(work)].append(place)
    return dict(places)


def train_predictor(
    samples: Sequence[KernelSample],
    processors: Mapping[str, ProcessorFacts],
    options: TrainOptions | None = None,
) -> Predictor:
    """Train a model for every kind of kernel and processor that has samples enough."""
    works = [sample.work for sample in samples]
    times = np.array([sample.time_us for sample in samples])
    models = {
        model: train_family(
            Launches.of([works[place] for place in places]),
            times[places],
            processors[model[1]],
            options or TrainOptions(),
        )
        for model, places in by_model(works).items()
        if len(places) >= _FEWEST
    }
    return Predictor(models, processors)


class PredictedTimes:
    """Predicted times of parts of the tasks of one graph, see `hetcomp.cost.times.Times`.

    Parameters
    ----------
    predictor
        Models of the device.
    cpu, gpu
        Whole tasks, in the order of the graph; None where a processor cannot run one.
    """

    def __init__(
        self,
        predictor: Predictor,
        cpu: Sequence[KernelWork | None],
        gpu: Sequence[KernelWork | None],
    ) -> None:
        self._predictor = predictor
        self._places: dict[tuple[int, str], tuple[Model, int]] = {}
        whole: dict[Model, list[KernelWork]] = defaultdict(list)
        for works in (cpu, gpu):
            for task, work in enumerate(works):
                if work is not None:
                    model = model_of(work)
                    self._places[task, work.processor] = (model, len(whole[model]))
                    whole[model].append(work)
        self._whole = {model: Launches.of(works) for model, works in whole.items()}

    def times_us(self, parts: Sequence[Part]) -> Array:
        """Times of `parts` in microseconds; inf where a processor has no kernel, 0 of nothing."""
        times = np.full(len(parts), np.inf)
        asked: dict[Model, list[tuple[int, int]]] = defaultdict(list)
        for place, part in enumerate(parts):
            found = self._places.get((part.task, part.processor))
            if found is not None:
                asked[found[0]].append((place, found[1]))
        extents = np.array(
            [(p.row_end - p.row_begin, p.channel_end - p.channel_begin) for p in parts], np.float64
        ).reshape(-1, 2)
        for model, pairs in asked.items():
            places, which = np.array(pairs).T
            rows, channels = extents[places].T
            launches = self._whole[model].parts(which, rows, channels)
            predicted = self._predictor.times_us(model, launches)
            times[places] = np.where(rows * channels > 0, predicted, 0.0)
        return times
