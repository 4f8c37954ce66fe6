"""How far off a rough model is at points that it has not seen: where to look closer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from hetcomp.cost.booster import TrainOptions
from hetcomp.cost.predictor import train_predictor
from hetcomp.cost.profile import KernelSample
from hetcomp.cost.roofline import ProcessorFacts
from hetcomp.profile.families import Point
from hetcomp.profile.layers import layer_text
from hetcomp.profile.sampler import Miss

__all__ = ["find_misses"]

_HELD_PART = 0.2
_LEAST_US = 1.0
"""Errors of kernels shorter than this do not matter."""
_ROUGH = TrainOptions(rounds=80, rate=0.2)
"""For finding where errors are large, a quick training is good enough."""

Processors = Mapping[str, ProcessorFacts]


def find_misses(
    samples: Sequence[KernelSample], points: Iterable[Point], processors: Processors, seed: int
) -> list[Miss]:
    """Errors at a fifth of the points, by a rough model of the others."""
    by_text = {layer_text(point.layer): point for point in points}
    texts = sorted(by_text)
    rng = np.random.default_rng(seed)
    held = {texts[i] for i in rng.permutation(len(texts))[: round(_HELD_PART * len(texts))]}
    seen = [sample for sample in samples if _layer_of(sample) not in held]
    asked = [sample for sample in samples if _layer_of(sample) in held]
    if not seen or not asked:
        return []
    predictor = train_predictor(seen, processors, replace(_ROUGH, seed=seed))
    predicted = predictor.predict([sample.work for sample in asked]).times_us
    errors: dict[str, list[float]] = defaultdict(list)
    for sample, time_us in zip(asked, predicted, strict=True):
        measured_us = max(_LEAST_US, sample.time_us)
        errors[_layer_of(sample)].append(abs(math.log(max(_LEAST_US, time_us) / measured_us)))
    return [Miss(by_text[text], fmean(values)) for text, values in errors.items()]


def _layer_of(sample: KernelSample) -> str:
    """Text of the layer that a sample's task belongs to."""
    return sample.group.rpartition(" ")[0]
