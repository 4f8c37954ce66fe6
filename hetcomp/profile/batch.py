"""One batch: the layers that it is made of, and measuring it when it is compiled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hetcomp.cost.profile import TIME_DIGITS, KernelSample
from hetcomp.cost.work import KernelWork
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.work import work_of
from hetcomp.profile.build import Build
from hetcomp.profile.families import Point
from hetcomp.profile.kernels import KernelOptions, Timed, time_kernels
from hetcomp.profile.layers import Layer, layer_text, touch_of
from hetcomp.profile.timing import Bench
from hetcomp.runtime import load

__all__ = ["layers_of", "measure_batch"]

_TOUCH = 0
"""Ordinal of the layer that rewrites the others' inputs."""
_LAYER_OF_NODE = re.compile(r"L(\d+)\.")


def layers_of(points: Sequence[Point]) -> tuple[Layer, ...]:
    """The layers of a batch: one that rewrites the others' inputs, then those drawn."""
    layers = [point.layer for point in points]
    return touch_of(max(layer.activations for layer in layers)), *layers


def measure_batch(
    build: Build, lock: Path | None, options: KernelOptions
) -> tuple[KernelSample, ...]:
    """Time all kernels of a batch on each processor."""
    job = build.job
    rng = np.random.default_rng((job.seed, job.number))
    with load(build.path, plan="gpu" if job.gpu else "cpu", pin="on", quiet=True) as session:
        graph = session.graph
        names = _groups(graph, job.layers)
        timed = time_kernels(Bench(session, lock), _TOUCH, options, rng, gpu=job.gpu)
        return tuple(
            KernelSample(_work(graph, item), _kept(item.times_us), names[item.part.task])
            for item in timed
        )


def _kept(times_us: Sequence[float]) -> tuple[float, ...]:
    """As files keep times, so that a profile and its models are the same when they are read."""
    return tuple(round(time_us, TIME_DIGITS) for time_us in times_us)


def _work(graph: TaskGraph, item: Timed) -> KernelWork:
    """As if the tasks that took turns were the whole model."""
    work = work_of(graph, item.part)
    return replace(work, facts={**work.facts, "model_weight_bytes": item.weight_bytes})


def _groups(graph: TaskGraph, layers: Sequence[Layer]) -> list[str]:
    """Names of the tasks' groups: the layer, and which of its tasks."""
    names: list[str] = []
    for task in graph.tasks:
        name = _layer_name(task, layers)
        names.append(f"{name} {task.kind}{sum(other.startswith(name) for other in names)}")
    return names


def _layer_name(task: Task, layers: Sequence[Layer]) -> str:
    found = (_LAYER_OF_NODE.match(node) for node in task.source)
    numbers = [int(match[1]) for match in found if match]
    return layer_text(layers[numbers[0]]) if numbers else "unknown layer"
