"""What the cost model sees of a candidate: the task's sizes and the chosen parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields

from hetcomp.schedules.choice import Choice, DeviceChoice, GroupChoice, Value
from hetcomp.tune.tasks import ALGORITHM, TuneTask

__all__ = ["feature_names", "features"]

_PARTS = {"cpu": DeviceChoice, "opencl": DeviceChoice, "group": GroupChoice}


def _parameters() -> tuple[str, ...]:
    own = [f.name for f in fields(Choice) if f.name not in (*_PARTS, ALGORITHM)]
    return (*own, *(f"{part}.{f.name}" for part, kind in _PARTS.items() for f in fields(kind)))


_PARAMETERS = _parameters()
_SIZES = ("log flops", "log rows", "log channels", "log weight bytes", "log flops per tile")
_ALGORITHM_BUCKETS = 16


def feature_names() -> tuple[str, ...]:
    """Names of the features, in order."""
    return (*_SIZES, ALGORITHM, "accumulators", *_PARAMETERS)


def features(task: TuneTask, values: Mapping[str, Value]) -> list[float]:
    """Features of `task` at `values`; NaN, which the model knows as missing, where one is not
    offered."""
    sizes = [
        _log(task.flops),
        _log(task.rows),
        _log(task.channels),
        _log(task.weight_bytes),
        _log(task.flops / (task.rows * task.channels)),
    ]
    accumulators = _number(values.get("height")) * _number(values.get("vectors"))
    algorithm = sorted(task.spaces).index(str(values.get(ALGORITHM, next(iter(task.spaces)))))
    return [
        *sizes,
        float(min(algorithm, _ALGORITHM_BUCKETS)),
        accumulators,
        *(_number(values.get(name)) for name in _PARAMETERS),
    ]


def _log(value: float) -> float:
    return math.log2(max(1.0, value))


def _number(value: Value | None) -> float:
    return float(value) if isinstance(value, (bool, int)) else math.nan
