"""Measures the arms of a trial: the part that runs in TVM's runner, here or against a remote.

All goes through the functions of an opened model.so, which TVM's RPC carries as well as a local
call. Arms are timed inside the same inferences, so a ratio of two of them is taken under one load.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from hetcomp.cost.samples import undisturbed
from hetcomp.errors import DeviceError
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import single
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import StepTable
from hetcomp.tune.contents import drawn
from hetcomp.tune.observed import cpu_times

__all__ = ["Evaluation", "Protocol", "evaluate", "typical_us"]

Array = np.ndarray[Any, Any]
ToDevice = Callable[[Array], Any]

_GPU_REPS = 3


@dataclass(frozen=True)
class Protocol:
    """How to measure.

    Attributes
    ----------
    arms
        Choices in the trial; arm 0 is the default.
    processors
        `cpu`, `gpu` or both.
    seconds
        Time to measure, of each processor.
    least_turns
        Turns at least, however long they take.
    """

    arms: int
    processors: tuple[str, ...]
    seconds: float = 0.4
    least_turns: int = 5


@dataclass(frozen=True)
class Evaluation:
    """What was seen of a trial.

    Attributes
    ----------
    errors
        Of each arm: largest deviation from the default's output over its largest magnitude.
    times_us
        By processor: for each arm one time per turn, in microseconds.
    """

    errors: tuple[float, ...]
    times_us: Mapping[str, tuple[tuple[float, ...], ...]]

    def to_floats(self) -> list[float]:
        """As the list of numbers that TVM's runner hands on."""
        flat = list(self.errors)
        for arms in self.times_us.values():
            flat.append(len(arms[0]))
            flat += [time_us for arm in arms for time_us in arm]
        return flat

    @staticmethod
    def from_floats(flat: Sequence[float], protocol: Protocol) -> Evaluation:
        """Inverse of `to_floats`."""
        values = iter(flat)
        errors = tuple(next(values) for _ in range(protocol.arms))
        times: dict[str, tuple[tuple[float, ...], ...]] = {}
        for processor in protocol.processors:
            count = int(next(values))
            times[processor] = tuple(
                tuple(next(values) for _ in range(count)) for _ in range(protocol.arms)
            )
        return Evaluation(errors, times)


def typical_us(processor: str, samples: Sequence[float]) -> float:
    """One figure for the times of an arm: on the CPU the lowest decile, on the device the median,
    as its times can be too short."""
    return undisturbed(samples) if processor == "cpu" else median(samples)


def evaluate(module: Any, to_device: ToDevice, protocol: Protocol) -> Evaluation:
    """Open the model.so `module`, check its arms' outputs and time them.

    Parameters
    ----------
    module
        The loaded model.so, local or remote.
    to_device
        From an array to a tensor that its functions accept.
    protocol
        What to measure.
    """
    gpu = "gpu" in protocol.processors
    options = {"plan": "cpu", "pin": "on", "quiet": True, "threads": 1, "timeout_ms": 5000.0}
    session = module["hetcomp_open"](json.dumps({**options, "device": "auto" if gpu else "off"}))
    graph = TaskGraph.from_json(json.loads(session["describe"]())["graph"])
    tables = {
        "cpu": make_table(graph, single(graph, Place.CPU)),
        "gpu": make_table(graph, single(graph, Place.GPU)),
    }
    errors = [0.0] * protocol.arms
    times: dict[str, tuple[tuple[float, ...], ...]] = {}
    for processor in protocol.processors:
        session["set_table"](json.dumps(tables[processor].to_json()))
        found = _errors(session, to_device, graph, protocol.arms)
        errors = [max(pair) for pair in zip(errors, found, strict=True)]
        cpu = processor == "cpu"
        turns = (
            _cpu_times(session, tables["cpu"], protocol)
            if cpu
            else _gpu_times(session, graph, protocol)
        )
        times[processor] = _timed(turns, protocol)
    status = json.loads(session["status"]())
    if gpu and (status["fallbacks"] or status["why_no_gpu"]):
        raise DeviceError(f"the OpenCL device failed: {status['why_no_gpu']}")
    return Evaluation(tuple(errors), times)


def _errors(session: Any, to_device: ToDevice, graph: TaskGraph, arms: int) -> list[float]:
    rng = np.random.default_rng(0)
    feeds = [drawn(graph.tensors[i].shape, graph.tensors[i].dtype, rng) for i in graph.inputs]
    results = [np.full(graph.tensors[i].shape, 77, graph.tensors[i].dtype) for i in graph.outputs]
    inputs, outputs = map(to_device, feeds), [to_device(result) for result in results]
    session["run"](*inputs, *outputs)
    values = [np.asarray(tensor.numpy()) for tensor in outputs]
    each = len(values) // arms
    default = values[:each]
    return [
        max(_deviation(d, v) for d, v in zip(default, values[a * each :][:each], strict=True))
        for a in range(arms)
    ]


def _deviation(default: Array, value: Array) -> float:
    """Largest difference over the largest magnitude; infinite where either is not finite."""
    wide = default.astype(np.float64)  # in int8, the magnitude of -128 is -128
    scale = float(np.abs(wide).max(initial=0.0)) or 1.0
    error = float(np.abs(wide - value).max(initial=0.0)) / scale
    return error if math.isfinite(error) else math.inf


def _cpu_times(session: Any, table: StepTable, protocol: Protocol) -> Iterator[list[float]]:
    """Of every inference, the time of each arm: the least of its copies."""
    from hetcomp.runtime.records import parse_profile

    session["profile"](2)
    while True:
        for run in parse_profile(json.loads(session["profile"](1))).runs:
            per_task = cpu_times(table, [run])
            yield [
                min(
                    us
                    for task, times in per_task.items()
                    if task % protocol.arms == arm
                    for us in times
                )
                for arm in range(protocol.arms)
            ]


def _gpu_times(session: Any, graph: TaskGraph, protocol: Protocol) -> Iterator[list[float]]:
    """Of every turn, the time of each arm, timed alone in batches that hide the dispatch.

    The median, as a time is the difference of two ends that the CPU noticed: noticing the first
    one late makes it too short.
    """
    for copy in itertools.cycle(range(len(graph.tasks) // protocol.arms)):
        found = []
        for arm in range(protocol.arms):
            index = copy * protocol.arms + arm
            task = graph.tasks[index]
            ranges = (0, task.rows.extent, 0, task.channels.extent)
            times = session["time_task"](index, "gpu", *ranges, 0, _GPU_REPS)
            found.append(median(json.loads(times)))
        yield found


def _timed(turns: Iterator[list[float]], protocol: Protocol) -> tuple[tuple[float, ...], ...]:
    """Turns for as long as the protocol says, one tuple per arm."""
    samples: list[list[float]] = []
    end = time.perf_counter() + protocol.seconds
    while time.perf_counter() < end or len(samples) < protocol.least_turns:
        samples.append(next(turns))
    return tuple(zip(*samples, strict=True))
