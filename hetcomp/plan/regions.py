"""Regions: tasks that follow each other on the NPU, and what goes into them and out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hetcomp.plan.graph import Space, TaskGraph
from hetcomp.plan.plan import Decision, Place
from hetcomp.plan.table import NpuStep

__all__ = ["npu_steps"]


def npu_steps(
    graph: TaskGraph, decisions: Mapping[str, Decision], *, apart: bool = False
) -> tuple[NpuStep, ...]:
    """The NPU's steps: each run of tasks that are placed there is a region.

    Being consecutive in task order, a region never waits for a task that waits for it.

    Parameters
    ----------
    graph
        The tasks in execution order.
    decisions
        By name of the task.
    apart
        Each task is a region of its own, to time it.
    """
    runs: list[list[int]] = []
    for index, task in enumerate(graph.tasks):
        if decisions[task.name].place is not Place.NPU:
            continue
        if apart or not runs or runs[-1][-1] != index - 1:
            runs.append([])
        runs[-1].append(index)
    return tuple(_step(graph, run) for run in runs)


def _step(graph: TaskGraph, tasks: Sequence[int]) -> NpuStep:
    writers = _writers(graph)
    inside = set(tasks)
    read = {tensor for index in tasks for tensor in graph.tasks[index].inputs}
    written = {tensor for index in tasks for tensor in graph.tasks[index].outputs}
    wanted = {graph.root(tensor) for tensor in graph.outputs}
    for index, task in enumerate(graph.tasks):
        if index not in inside:
            wanted.update(graph.root(tensor) for tensor in task.inputs)
    return NpuStep(
        tasks=tuple(tasks),
        inputs=tuple(
            tensor
            for tensor in sorted(read)
            if graph.tensors[graph.root(tensor)].space is Space.ARENA
            and not _made_inside(writers.get(graph.root(tensor), set()), inside)
        ),
        outputs=tuple(tensor for tensor in sorted(written) if graph.root(tensor) in wanted),
    )


def _made_inside(writers: set[int], inside: set[int]) -> bool:
    return bool(writers) and writers <= inside


def _writers(graph: TaskGraph) -> dict[int, set[int]]:
    """Tasks that write each root tensor: several write the slices of one."""
    found: dict[int, set[int]] = {}
    for index, task in enumerate(graph.tasks):
        for tensor in task.outputs:
            found.setdefault(graph.root(tensor), set()).add(index)
    return found
