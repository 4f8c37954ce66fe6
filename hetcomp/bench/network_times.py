"""Whole networks' times by the cost models against measured ones, on one processor each.

The measured times are those of `hetcomp bench models --json`. Networks are lowered to their tasks,
not compiled; nothing is measured, and no network's time goes into the models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hetcomp.bench import zoo
from hetcomp.bench.networks import Progress, Results, over_networks
from hetcomp.codegen.lower import lower_tasks
from hetcomp.cost.profile import DeviceProfile
from hetcomp.errors import InputError
from hetcomp.frontend import import_onnx
from hetcomp.pipeline import fusion_pipeline
from hetcomp.plan.forecast import profile_forecast
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import single
from hetcomp.plan.steps import make_table
from hetcomp.targets import find_target

__all__ = ["NetworkTime", "measured_networks", "network_times"]

_PLACES = {"cpu": Place.CPU, "gpu": Place.GPU}


@dataclass(frozen=True)
class NetworkTime:
    """A network on one processor; one CPU thread."""

    model: str
    processor: str
    measured_ms: float
    predicted_ms: float

    @property
    def error_percent(self) -> float:
        """Above 0: predicted too slow."""
        return 100.0 * (self.predicted_ms / self.measured_ms - 1.0)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "error_percent": self.error_percent}


Measured = Mapping[str, Mapping[str, float]]
"""Milliseconds by network and processor."""


def measured_networks(path: Path) -> Measured:
    """Times of plans `cpu` and `gpu` from what `hetcomp bench models --json` printed.

    Raises
    ------
    InputError
        The file cannot be read, or is something else.
    """
    try:
        rows: Sequence[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
        found: dict[str, dict[str, float]] = {}
        for row in rows:
            if _counts(row):
                found.setdefault(row["model"], {})[row["plan"]] = float(row["median_ms"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error
    return found


def _counts(row: Mapping[str, Any]) -> bool:
    """Plans of one processor at the usual size, as asked for, the CPU's on one thread."""
    plan, usual = row["plan"], row["size"] is None and row["ran_plan"] == row["plan"]
    return usual and (plan == "gpu" or (plan == "cpu" and row["cpu_threads"] == 1))


def network_times(
    profile: DeviceProfile, measured: Measured, report: Progress
) -> Results[NetworkTime]:
    """Predict every network of `measured`."""

    def predict(name: str, part: Progress) -> list[NetworkTime]:
        part("lowering", 0.0)
        graph = _graph(name)
        return [
            NetworkTime(name, processor, time_ms, _predicted_ms(graph, profile, processor))
            for processor, time_ms in measured[name].items()
        ]

    return over_networks(list(measured), predict, report)


def _graph(name: str) -> TaskGraph:
    imported = import_onnx(zoo.build(name))
    module = fusion_pipeline()(imported.mod)
    return lower_tasks(imported, module, find_target("host").cpu, gpu=True).graph


def _predicted_ms(graph: TaskGraph, profile: DeviceProfile, processor: str) -> float:
    plan = single(graph, _PLACES[processor])
    simulator = profile_forecast(graph, profile).simulator(graph)
    return simulator.run(make_table(graph, plan)).makespan_us / 1000.0
