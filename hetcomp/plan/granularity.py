"""Placing several tasks alike: the units of a granularity, and the placements they share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hetcomp.cost.costs import Costs, TaskCost
from hetcomp.plan.candidates import Choice
from hetcomp.plan.check import grid_of
from hetcomp.plan.cuts import cut_at, split_axis
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place
from hetcomp.plan.transfer import Share, Transfers, share_of

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["alike_candidates", "dependences", "unit_starts"]

_SHARES = tuple(sixteenth / 16 for sixteenth in range(2, 15))
"""Parts of the CPU that a unit may be split by."""


def dependences(graph: TaskGraph) -> nx.DiGraph:
    """Tasks by index, with an edge from each to every one that reads what it made."""
    import networkx as nx

    found = nx.DiGraph()
    found.add_nodes_from(range(len(graph.tasks)))
    for user, inputs in enumerate(Transfers(graph).inputs):
        found.add_edges_from((item.maker, user) for item in inputs if item.maker is not None)
    return found


def unit_starts(graph: TaskGraph, granularity: str) -> tuple[bool, ...]:
    """Whether each task begins a unit of `granularity`, see `hetcomp.goal.Goal`."""
    tasks = range(len(graph.tasks))
    if granularity == "model":
        return tuple(index == 0 for index in tasks)
    if granularity == "operator":
        return (True,) * len(graph.tasks)
    edges = dependences(graph)
    if granularity == "chain":
        return tuple(not _continues_chain(edges, index) for index in tasks)
    last_use = [max(edges.successors(index), default=index) for index in tasks]
    return tuple(
        index == 0
        or (
            not _continues_chain(edges, index)
            and all(last < index for last in last_use[: index - 1])
        )
        for index in tasks
    )


def alike_candidates(graph: TaskGraph, costs: Costs) -> tuple[tuple[Choice, ...], ...]:
    """For every task the same list of placements, as far as it can follow: CPU, GPU, and splits
    by shares along its own axis. Equal positions are alike."""
    return tuple(
        tuple(_of_task(graph, task, cost))
        for task, cost in zip(graph.tasks, costs.tasks, strict=True)
    )


def _continues_chain(edges: nx.DiGraph, index: int) -> bool:
    """Whether the task reads its predecessor alone, and is alone to read it."""
    return list(edges.predecessors(index)) == [index - 1] and edges.out_degree(index - 1) == 1


def _of_task(graph: TaskGraph, task: Task, cost: TaskCost) -> list[Choice]:
    cpu = Decision(task.name, Place.CPU, cpu_us=cost.cpu_us, gpu_us=cost.gpu_us)
    if cost.gpu_us is None or not graph.kernels[task.kernel].opencl:
        return [Choice(cpu, Share(1.0))] * (2 + len(_SHARES))
    gpu = replace(cpu, place=Place.GPU)
    alone = [Choice(cpu, Share(1.0)), Choice(gpu, Share(0.0))]
    axis = split_axis(task, Axis(task.preferred_axis))
    if axis is None:
        return alone + [alone[cost.gpu_us < cost.cpu_us]] * len(_SHARES)
    cuts = (cut_at(grid_of(task, axis), share) for share in _SHARES)
    splits = [replace(cpu, place=Place.SPLIT, axis=axis, cut=cut) for cut in cuts]
    return alone + [Choice(split, share_of(task, split)) for split in splits]
