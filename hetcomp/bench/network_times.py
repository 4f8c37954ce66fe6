"""Whole networks' times by the cost models against measured ones, alone and split in halves.

The measured times are those of `hetcomp bench models --json`, in which inputs and outputs are
copied. Networks are lowered to their tasks, not compiled, as float32 and with all algorithms; no
network's time goes into the models, and nothing is measured but how long planning takes.
"""

from __future__ import annotations

import json
import time
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
from hetcomp.plan.by_times import by_times
from hetcomp.plan.forecast import profile_forecast
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.planners import base_plans
from hetcomp.plan.simulate import Simulator
from hetcomp.plan.steps import make_table
from hetcomp.targets import find_target

__all__ = ["NetworkTime", "measured_networks", "network_times"]

_PLANS = ("cpu", "gpu", "split")
"""Of which it is known what they place where; `split` halves every task."""


@dataclass(frozen=True)
class NetworkTime:
    """A network by one plan; one CPU thread.

    Attributes
    ----------
    model, plan
        Which.
    measured_ms, predicted_ms
        Of one inference.
    planning_s
        To predict the network's tasks and plan it for both processors.
    """

    model: str
    plan: str
    measured_ms: float
    predicted_ms: float
    planning_s: float

    @property
    def error_percent(self) -> float:
        """Above 0: predicted too slow."""
        return 100.0 * (self.predicted_ms / self.measured_ms - 1.0)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "error_percent": self.error_percent}


Measured = Mapping[str, Mapping[str, float]]
"""Milliseconds by network and plan."""


def measured_networks(path: Path) -> Measured:
    """Times of plans `cpu`, `gpu` and `split` from what `hetcomp bench models --json` printed.

    Raises
    ------
    InputError
        The file cannot be read, or is something else; or its networks were quantised, exact or of
        another precision.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows: Sequence[Mapping[str, Any]] = data["rows"]
        unlike = _unlike(data.get("options", {}))
        found: dict[str, dict[str, float]] = {}
        for row in rows:
            if _counts(row):
                found.setdefault(row["model"], {})[row["plan"]] = float(row["median_ms"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error
    if unlike:
        raise InputError(
            f"{path}: measured with {unlike}; networks are predicted as bench models compiles them "
            "without that"
        )
    return found


def _unlike(options: Mapping[str, Any]) -> str:
    """Options of `bench models` that make other kernels than those predicted here."""
    flags = [f"--{name}" for name in ("qdq", "exact", "tuned") if options.get(name)]
    flags += ["--device-class gpu"] if options.get("device_class") == "gpu" else []
    precision = options.get("precision", "auto")
    own = [] if precision in ("auto", "f32") else [f"--precision {precision}"]
    return ", ".join([*flags, *own])


def _counts(row: Mapping[str, Any]) -> bool:
    """Known plans at the usual size, as asked for, the CPU's on one thread."""
    plan, usual = row["plan"], row["size"] is None and row["ran_plan"] == row["plan"]
    return usual and plan in _PLANS and (plan != "cpu" or row["cpu_threads"] == 1)


def network_times(
    profile: DeviceProfile, measured: Measured, report: Progress
) -> Results[NetworkTime]:
    """Predict every network of `measured`."""

    def predict(name: str, part: Progress) -> list[NetworkTime]:
        part("lowering", 0.0)
        graph = _graph(name)
        part("planning", 0.5)
        begin = time.perf_counter()
        forecast = profile_forecast(graph, profile)
        by_times(
            graph,
            forecast.costs,
            forecast.sync,
            times=forecast.times,
            contention=forecast.contention,
        )
        planning_s = time.perf_counter() - begin
        copied_us = _copied_us(graph, profile)
        predicted_ms = {
            plan: (time_us + copied_us) / 1000.0
            for plan, time_us in _predicted_us(graph, forecast.simulator(graph)).items()
        }
        return [
            NetworkTime(name, plan, time_ms, predicted_ms[plan], planning_s)
            for plan, time_ms in measured[name].items()
        ]

    return over_networks(list(measured), predict, report)


def _graph(name: str) -> TaskGraph:
    imported = import_onnx(zoo.build(name))
    module = fusion_pipeline()(imported.mod)
    return lower_tasks(imported, module, find_target("host").cpu, gpu=True).graph


def _predicted_us(graph: TaskGraph, simulator: Simulator) -> dict[str, float]:
    return {
        plan.name: simulator.run(make_table(graph, plan)).makespan_us for plan in base_plans(graph)
    }


def _copied_us(graph: TaskGraph, profile: DeviceProfile) -> float:
    """What it takes the host to copy inputs and outputs, as far as the profile knows."""
    size = sum(graph.tensors[tensor].size_bytes for tensor in graph.inputs + graph.outputs)
    per_us = profile.limits.get("copy_bytes_per_us")
    return size / per_us if per_us else 0.0
