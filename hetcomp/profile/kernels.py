"""Measure the kernels of one synthetic model: every task, whole and in parts, on each processor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hetcomp.cost.work import Part
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.table import Step, StepTable
from hetcomp.profile.ranges import parts_of
from hetcomp.profile.tables import Layout, in_turn, layout_of, step_of, table_of
from hetcomp.profile.timing import Bench, cpu_us, gpu_us

__all__ = ["KernelOptions", "Timed", "time_kernels"]


@dataclass(frozen=True)
class KernelOptions:
    """How much of a kernel to time: cuts along its preferred axis, and launches of each part."""

    cuts: int = 4
    reps: int = 5


@dataclass(frozen=True)
class Timed:
    """Times of one part of a task in microseconds, a launch each."""

    part: Part
    times_us: tuple[float, ...]


def time_kernels(
    bench: Bench, touch: int, options: KernelOptions, rng: np.random.Generator, *, gpu: bool
) -> Iterator[Timed]:
    """Time every task but `touch`, which brings the inputs into the cache before each part."""
    graph = bench.session.graph
    layout = layout_of(graph)
    for processor in ("cpu", "gpu") if gpu else ("cpu",):
        parts = _parts(graph, touch, processor, options.cuts, rng)
        steps = [
            step
            for part in parts
            for step in (_touch_step(graph, layout, touch, part), step_of(part))
        ]
        table = _table(layout, steps, processor)
        runs = bench.runs(table, options.reps)
        for number, part in enumerate(parts):
            step = 2 * number + 1
            samples = cpu_us(runs, step) if processor == "cpu" else gpu_us(table, runs, step)
            if samples:
                yield Timed(part, samples)


def _parts(
    graph: TaskGraph, touch: int, processor: str, cuts: int, rng: np.random.Generator
) -> list[Part]:
    able = [
        index
        for index, task in enumerate(graph.tasks)
        if index != touch and (processor == "cpu" or graph.kernels[task.kernel].opencl)
    ]
    return in_turn([parts_of(i, graph.tasks[i], processor, cuts, rng) for i in able])


def _touch_step(graph: TaskGraph, layout: Layout, touch: int, part: Part) -> Step:
    """Rewrite the inputs of `part` where they lie."""
    task = graph.tasks[touch]
    tile_bytes = graph.tensors[task.outputs[0]].size_bytes // task.rows.extent
    tiles = min(task.rows.extent, max(1, -(-layout.input_bytes[part.task] // tile_bytes)))
    return Step(touch, 0, tiles, 0, 1)


def _table(layout: Layout, steps: list[Step], processor: str) -> StepTable:
    if processor == "cpu":
        return table_of(layout, cpu=steps)
    return table_of(layout, gpu=steps)
