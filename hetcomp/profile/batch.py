"""One batch: the layers that it is made of, and a visit to it when it is compiled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hetcomp.cost.work import KernelWork, Part
from hetcomp.machine import Machine
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.work import work_of
from hetcomp.profile.build import Build
from hetcomp.profile.families import Point
from hetcomp.profile.kernels import KernelOptions, time_kernels
from hetcomp.profile.layers import Layer, layer_text, touch_of
from hetcomp.profile.timing import Bench
from hetcomp.profile.visits import Turns, Visit

__all__ = ["layers_of", "visit_batch"]

_TOUCH = 0
"""Ordinal of the layer that rewrites the others' inputs."""
_LAYER_OF_NODE = re.compile(r"L(\d+)\.")


def layers_of(points: Sequence[Point]) -> tuple[Layer, ...]:
    """The layers of a batch: one that rewrites the others' inputs, then those drawn."""
    layers = [point.layer for point in points]
    return touch_of(max(layer.activations for layer in layers)), *layers


def visit_batch(build: Build, machine: Machine, lock: Path | None, options: KernelOptions) -> Visit:
    """Time all kernels of a batch on each processor; every visit times the same parts."""
    job = build.job
    rng = np.random.default_rng((job.seed, job.number))
    with machine.open(build.path, plan="gpu" if job.gpu else "cpu", pin="on") as session:
        graph = session.graph
        names = _groups(graph, job.layers)
        return tuple(
            Turns(
                tuple(_work(graph, part, timed.weight_bytes) for part in timed.parts),
                tuple(names[part.task] for part in timed.parts),
                timed.times_us,
                timed.touches_us,
            )
            for timed in time_kernels(Bench(session, lock), _TOUCH, options, rng, gpu=job.gpu)
        )


def _work(graph: TaskGraph, part: Part, weight_bytes: int) -> KernelWork:
    """As if the tasks that took turns were the whole model."""
    work = work_of(graph, part)
    return replace(work, facts={**work.facts, "model_weight_bytes": weight_bytes})


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
