"""Which candidates to try next: random ones first, then those that a cost model likes.

The model (boosted trees over `features`) predicts the logarithm of the time over the default's. It
learns from all tasks at once, so that a task profits from what others have shown. Candidates come
from simulated annealing on its predictions; a part of each batch is drawn at random, against what
the model does not know.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hetcomp.schedules.choice import Choice, Space, Value
from hetcomp.tune.features import features
from hetcomp.tune.space import choice_of, draw, mutate
from hetcomp.tune.tasks import ALGORITHM, TuneTask

__all__ = ["CostModel", "Point", "Sample", "Search", "choice_at", "point_of"]

Point = dict[str, Value]

_FAILED_RATIO = 4.0
"""What a candidate that failed counts as."""
_RANDOM_PART = 0.25
_ANYWHERE_PART = 0.5
_NEAR_STEPS = 2
"""What is not guided is half near a good point, the default at first: this many changes away."""
_CHAINS, _STEPS = 24, 30
_START_TEMPERATURE, _COOLING = 0.3, 0.88
_ATTEMPTS = 200
_ROUNDS = 60
_LEAST_SAMPLES = 8
"""Fewer than this teach nothing."""


@dataclass(frozen=True)
class Sample:
    """A candidate that was tried: its point, and its ratio, None where it failed."""

    task: TuneTask
    point: Mapping[str, Value]
    ratio: float | None


class CostModel:
    """Predicts the logarithm of a candidate's ratio; knows nothing until it is fitted."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._trees: Any = None

    @property
    def fitted(self) -> bool:
        """Whether it predicts anything."""
        return self._trees is not None

    def fit(self, samples: Sequence[Sample]) -> None:
        """Learn from `samples`; too few leave it as it is."""
        if len(samples) < _LEAST_SAMPLES:
            return
        import xgboost

        rows = np.array([features(sample.task, sample.point) for sample in samples])
        ratios = [min(_FAILED_RATIO, sample.ratio or _FAILED_RATIO) for sample in samples]
        options = {"max_depth": 5, "eta": 0.2, "nthread": 1, "seed": self._seed, "verbosity": 0}
        self._trees = xgboost.train(
            options, xgboost.DMatrix(rows, label=np.log(ratios)), num_boost_round=_ROUNDS
        )

    def predict(self, task: TuneTask, points: Sequence[Mapping[str, Value]]) -> list[float]:
        """Logarithms of ratios."""
        import xgboost

        rows = np.array([features(task, point) for point in points])
        return [float(value) for value in self._trees.predict(xgboost.DMatrix(rows))]


@dataclass
class Search:
    """Proposes candidates of one task; `tried` are choices that need no second trial."""

    task: TuneTask
    rng: random.Random
    tried: set[Choice] = field(default_factory=set)

    def propose(self, model: CostModel, count: int, best: Sequence[Point]) -> list[Point]:
        """Up to `count` points that were not tried; fewer where the space is exhausted.

        `best` are good points to start from.
        """
        wanted: list[Point] = []
        guided = count - math.ceil(count * _RANDOM_PART) if model.fitted else 0
        if guided:
            self._take(self._annealed(model, best), guided, wanted)
        self._take(lambda: self._explored(best), count, wanted)
        self.tried |= {choice_at(self.task, point) for point in wanted}
        return wanted

    def _take(
        self, source: list[Point] | Callable[[], Point], count: int, wanted: list[Point]
    ) -> None:
        """Move new points from `source` to `wanted` until it has `count`."""
        known = self.tried | {choice_at(self.task, point) for point in wanted}
        points = source if isinstance(source, list) else (source() for _ in range(_ATTEMPTS))
        for point in points:
            if len(wanted) >= count:
                return
            choice = choice_at(self.task, point)
            if choice not in known:
                known.add(choice)
                wanted.append(point)

    def _drawn(self) -> Point:
        algorithm = self.rng.choice(sorted(self.task.spaces))
        return draw(self.task.spaces[algorithm], self.rng)

    def _explored(self, best: Sequence[Point]) -> Point:
        """Near a good point, or anywhere."""
        if not best or self.rng.random() < _ANYWHERE_PART:
            return self._drawn()
        point: Point = dict(self.rng.choice(best))
        for _ in range(_NEAR_STEPS):
            point = mutate(_space_at(self.task, point), point, self.rng)
        return point

    def _annealed(self, model: CostModel, best: Sequence[Point]) -> list[Point]:
        """Points that the chains visited, those of the least predicted ratio first."""
        points = [*map(dict, best), *(self._drawn() for _ in range(_CHAINS))][:_CHAINS]
        costs = model.predict(self.task, points)
        seen = {_frozen(p): cost for p, cost in zip(points, costs, strict=True)}
        temperature = _START_TEMPERATURE
        for _ in range(_STEPS):
            moved = [mutate(_space_at(self.task, p), p, self.rng) for p in points]
            for index, cost in enumerate(model.predict(self.task, moved)):
                seen[_frozen(moved[index])] = cost
                rise = cost - costs[index]
                if rise <= 0 or self.rng.random() < math.exp(-rise / temperature):
                    points[index], costs[index] = moved[index], cost
            temperature *= _COOLING
        return [dict(point) for point in sorted(seen, key=lambda p: seen[p])]


def choice_at(task: TuneTask, point: Mapping[str, Value]) -> Choice:
    """The point as a choice; parameters at their default are left out."""
    return choice_of(_space_at(task, point), point)


def point_of(task: TuneTask, values: Mapping[str, Value]) -> Point | None:
    """The point of a recorded choice; None where the task does not offer it any more."""
    for name, space in task.spaces.items():
        knobs = {knob.name: knob for knob in space.knobs}
        point = {**space.defaults(), **values}
        if ALGORITHM in knobs and point[ALGORITHM] != name:
            continue
        return None if space.why_not(point) else point
    return None


def _space_at(task: TuneTask, point: Mapping[str, Value]) -> Space:
    """The space of the point's algorithm."""
    return task.spaces[str(point.get(ALGORITHM, next(iter(task.spaces))))]


def _frozen(point: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(point.items()))
