"""Times of whole operators on both processors: what others publish of a device that is not here.

A file is a list of `{"key": [kind, input shape, weight shape, stride, padding, type], "cpu_us",
"gpu_us"}`, as logs of tuned kernels give them. It says nothing of launching and synchronising, so
questions to it name an overhead.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetcomp.cost.costs import Costs, TaskCost
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.profile_file import load_profile
from hetcomp.errors import ProfileError

__all__ = ["OperatorTimes", "load_any_profile"]


@dataclass(frozen=True)
class OperatorTimes:
    """Times of operators; `names` and `costs.tasks` correspond one to one."""

    names: tuple[str, ...]
    costs: Costs


def load_any_profile(path: str | os.PathLike[str]) -> DeviceProfile | OperatorTimes:
    """Read a device profile, or a list of operators' times.

    Raises
    ------
    ProfileError
        The file is neither, or damaged.
    """
    try:
        data = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return load_profile(path)  # compressed, or it says what is wrong
    return _operators(data, path) if isinstance(data, list) else load_profile(path)


def _operators(data: list[Any], path: str | os.PathLike[str]) -> OperatorTimes:
    try:
        names = tuple(_name(item["key"]) for item in data)
        costs = tuple(TaskCost(float(item["cpu_us"]), float(item["gpu_us"])) for item in data)
    except (KeyError, TypeError, ValueError) as error:
        raise ProfileError(
            f"{path} is a list, but not of operators with key, cpu_us and gpu_us: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not costs:
        raise ProfileError(f"{path} is an empty list; expected operators")
    if not all(_positive(cost.cpu_us) and _positive(cost.gpu_us or 0.0) for cost in costs):
        raise ProfileError(f"{path} has an operator whose time is not a positive number")
    return OperatorTimes(names, Costs(costs, device=Path(path).stem))


def _positive(time_us: float) -> bool:
    return math.isfinite(time_us) and time_us > 0.0


def _name(key: Any) -> str:
    kind, *details = key
    return " ".join([str(kind), *(str(detail).replace(" ", "") for detail in details)])
