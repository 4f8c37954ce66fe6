"""Measure the kernels of one synthetic model: every task, whole and in parts, on each processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hetcomp.cost.launches import Array
from hetcomp.cost.work import Part
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.table import Step
from hetcomp.profile.ranges import parts_of
from hetcomp.profile.tables import Layout, in_turn, layout_of, step_of, table_of
from hetcomp.profile.timing import Bench, step_times_us

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
    reps: int = 6


@dataclass(frozen=True)
class Timed:
    """Times of parts of tasks that took turns.

    Attributes
    ----------
    parts
        In the order of their steps.
    times_us
        Shape (inferences, parts), NaN where a time was not seen.
    touches_us
        The same of the steps before the parts, which rewrite their inputs.
    weight_bytes
        Weights of all these tasks.
    """

    parts: tuple[Part, ...]
    times_us: Array
    touches_us: Array
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
        for tasks, cuts in _turns(able, options, rng) if able else ():
            parts = in_turn([parts_of(i, graph.tasks[i], processor, cuts, rng) for i in tasks])
            times = _time(bench, layout, touch, parts, processor, options.reps)
            weights = sum(graph.tasks[i].weight_bytes for i in tasks)
            yield Timed(tuple(parts), times[:, 1::2], times[:, 0::2], weights)


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
) -> Array:
    """Times of the steps: each part behind a part of `touch` over its inputs."""
    steps = [
        step
        for part in parts
        for step in (_touch_step(bench.session.graph, layout, touch, part), step_of(part))
    ]
    on_cpu = processor == "cpu"
    table = table_of(layout, cpu=steps if on_cpu else (), gpu=() if on_cpu else steps)
    return step_times_us(table, bench.runs(table, reps), processor)


def _touch_step(graph: TaskGraph, layout: Layout, touch: int, part: Part) -> Step:
    """Rewrite the inputs of `part` where they lie."""
    task = graph.tasks[touch]
    tile_bytes = graph.tensors[task.outputs[0]].size_bytes // task.rows.extent
    tiles = min(task.rows.extent, max(1, -(-layout.input_bytes[part.task] // tile_bytes)))
    return Step(touch, 0, tiles, 0, 1)
