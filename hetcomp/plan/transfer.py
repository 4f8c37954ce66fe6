"""What a processor must take over of a task's inputs from the cache of the other one.

Halos of convolutions are not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Space, Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place

__all__ = ["Crossing", "Share", "Transfers", "share_of"]

_CHANNEL_LOCAL = frozenset({"depthwise", "elementwise"})
"""Kinds whose output channel needs only the same channel of the input."""


@dataclass(frozen=True)
class Share:
    """Part [0, cpu) of a task that the CPU takes; `axis` is None for 0 and 1."""

    cpu: float
    axis: Axis | None = None

    @property
    def split(self) -> bool:
        """Whether both processors have a part."""
        return 0.0 < self.cpu < 1.0


def share_of(task: Task, decision: Decision) -> Share:
    """The CPU's share under `decision`."""
    if decision.place is not Place.SPLIT:
        return Share(1.0 if decision.place is Place.CPU else 0.0)
    cpu = decision.cut / grid_of(task, decision.axis).extent
    return Share(cpu, decision.axis if 0.0 < cpu < 1.0 else None)


@dataclass(frozen=True)
class Crossing:
    """Bytes that either processor reads and the other one wrote."""

    to_cpu_bytes: float
    to_gpu_bytes: float


@dataclass(frozen=True)
class _Input:
    """An input of a task.

    `task` made it (None: the host); along `local_axes` a half of the task reads only its own
    part of it.
    """

    task: int | None
    size_bytes: int
    local_axes: frozenset[Axis]


class Transfers:
    """Who made the inputs of every task of one graph."""

    def __init__(self, graph: TaskGraph) -> None:
        self._inputs = _producers(graph)

    def crossing(self, index: int, share: Share, made_by: Callable[[int], Share]) -> Crossing:
        """What crosses for task `index` where earlier task i was placed as `made_by(i)`."""
        to_cpu = to_gpu = 0.0
        for item in self._inputs[index]:
            source = Share(1.0) if item.task is None else made_by(item.task)
            cpu, gpu = _parts(source, share, item)
            to_cpu += cpu * item.size_bytes
            to_gpu += gpu * item.size_bytes
        return Crossing(to_cpu, to_gpu)


def _producers(graph: TaskGraph) -> tuple[tuple[_Input, ...], ...]:
    maker: dict[int, int] = {}
    found = []
    for index, task in enumerate(graph.tasks):
        inputs = []
        for position, tensor in enumerate(task.inputs):
            root = graph.root(tensor)
            if graph.tensors[root].space is Space.ARENA:
                axes = _local_axes(graph, task, position)
                inputs.append(_Input(maker.get(root), graph.tensors[root].size_bytes, axes))
        found.append(tuple(inputs))
        for tensor in task.outputs:
            maker[graph.root(tensor)] = index
    return tuple(found)


def _local_axes(graph: TaskGraph, task: Task, position: int) -> frozenset[Axis]:
    tensor = graph.tensors[task.inputs[position]]
    same_shape = bool(task.outputs) and tensor.shape == graph.tensors[task.outputs[0]].shape
    axes = set()
    if position == 0 or (same_shape and task.kind != "matmul"):
        axes.add(Axis.ROWS)
    if task.kind in _CHANNEL_LOCAL or (same_shape and position > 0 and task.kind != "matmul"):
        axes.add(Axis.CHANNELS)
    return frozenset(axes)


def _parts(source: Share, use: Share, item: _Input) -> tuple[float, float]:
    """Parts of an input that the CPU's half reads from the GPU's cache, and the reverse."""
    gpu_made, cpu_made = 1.0 - source.cpu, source.cpu
    reads_cpu, reads_gpu = use.cpu > 0.0, use.cpu < 1.0
    if use.axis is None or use.axis not in item.local_axes:
        return (gpu_made if reads_cpu else 0.0), (cpu_made if reads_gpu else 0.0)
    if source.axis in (None, use.axis):
        return max(0.0, use.cpu - source.cpu), max(0.0, source.cpu - use.cpu)
    return use.cpu * gpu_made, (1.0 - use.cpu) * cpu_made
