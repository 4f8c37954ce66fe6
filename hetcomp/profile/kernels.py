"""Measure the kernels of one synthetic model: every task, whole and in parts, on each processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hetcomp.cost.work import Part
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.table import Step
from hetcomp.profile.ranges import parts_of
from hetcomp.profile.tables import Layout, in_turn, layout_of, step_of, table_of
from hetcomp.profile.timing import Bench, cpu_us, gpu_us

__all__ = ["KernelOptions", "Timed", "time_kernels"]


@dataclass(frozen=True)
class KernelOptions:
    """How much of a kernel to time.

    Attributes
    ----------
    cuts
        Parts along the preferred axis, besides the whole, where all tasks take turns.
    few_cuts
        The same where a few tasks take turns.
    few
        How many these are: so few that weights stay nearer than in a large model.
    reps
        Launches of each part.
    """

    cuts: int = 4
    few_cuts: int = 1
    few: int = 3
    reps: int = 8


@dataclass(frozen=True)
class Timed:
    """Times of one part of a task in microseconds, a launch each.

    `weight_bytes` are those of all tasks that took turns with it.
    """

    part: Part
    times_us: tuple[float, ...]
    weight_bytes: int


def time_kernels(
    bench: Bench, touch: int, options: KernelOptions, rng: np.random.Generator, *, gpu: bool
) -> Iterator[Timed]:
    """Time every task but `touch`, which brings the inputs into the cache before each part.

    Tasks take turns all together, as in a large model, and then a few at a time.
    """
    graph = bench.session.graph
    layout = layout_of(graph)
    for processor in ("cpu", "gpu") if gpu else ("cpu",):
        able = [
            index
            for index, task in enumerate(graph.tasks)
            if index != touch and (processor == "cpu" or graph.kernels[task.kernel].opencl)
        ]
        for tasks, cuts in _turns(able, options, rng):
            parts = in_turn([parts_of(i, graph.tasks[i], processor, cuts, rng) for i in tasks])
            weights = sum(graph.tasks[i].weight_bytes for i in tasks)
            times = _time(bench, layout, touch, parts, processor, options.reps)
            for part, samples in zip(parts, times, strict=True):
                seen = tuple(time_us for time_us in samples if time_us > 0.0)
                if seen:
                    yield Timed(part, seen, weights)


def _turns(
    tasks: Sequence[int], options: KernelOptions, rng: np.random.Generator
) -> Iterator[tuple[Sequence[int], int]]:
    """Tasks that take turns, and cuts of each."""
    yield tasks, options.cuts
    order = [tasks[i] for i in rng.permutation(len(tasks))]
    for begin in range(0, len(order), options.few):
        yield order[begin : begin + options.few], options.few_cuts


def _time(
    bench: Bench, layout: Layout, touch: int, parts: list[Part], processor: str, reps: int
) -> list[tuple[float, ...]]:
    """Times of each part, behind a part of `touch` over its inputs."""
    steps = [
        step
        for part in parts
        for step in (_touch_step(bench.session.graph, layout, touch, part), step_of(part))
    ]
    of_parts = range(1, len(steps), 2)
    if processor == "cpu":
        runs = bench.runs(table_of(layout, cpu=steps), reps)
        return [cpu_us(runs, step) for step in of_parts]
    table = table_of(layout, gpu=steps)
    runs = bench.runs(table, reps)
    return [gpu_us(table, runs, step) for step in of_parts]


def _touch_step(graph: TaskGraph, layout: Layout, touch: int, part: Part) -> Step:
    """Rewrite the inputs of `part` where they lie."""
    task = graph.tasks[touch]
    tile_bytes = graph.tensors[task.outputs[0]].size_bytes // task.rows.extent
    tiles = min(task.rows.extent, max(1, -(-layout.input_bytes[part.task] // tile_bytes)))
    return Step(touch, 0, tiles, 0, 1)
