"""The price of one task under a placement, given where its inputs were made.

A half's time is its share of the measured whole, plus the lines it must take over from the other
processor's cache. Halos of convolutions and contention for memory are not in the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hetcomp.cost.costs import Costs, SyncCost
from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Space, Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place

__all__ = ["Price", "Pricer", "Share", "share_of"]

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


@dataclass(frozen=True)
class Price:
    """Predicted time of a task in microseconds: either half without its transfer, and the rest."""

    cpu_us: float
    gpu_us: float
    cpu_transfer_us: float
    gpu_transfer_us: float
    sync_us: float

    @property
    def work_us(self) -> float:
        """The slower half, transfer included."""
        return max(self.cpu_us + self.cpu_transfer_us, self.gpu_us + self.gpu_transfer_us)

    @property
    def transfer_us(self) -> float:
        """What transfer adds to the slower half."""
        return self.work_us - max(self.cpu_us, self.gpu_us)

    @property
    def total_us(self) -> float:
        """Work and synchronisation."""
        return self.work_us + self.sync_us


def share_of(task: Task, decision: Decision) -> Share:
    """The CPU's share under `decision`."""
    if decision.place is not Place.SPLIT:
        return Share(1.0 if decision.place is Place.CPU else 0.0)
    cpu = decision.cut / grid_of(task, decision.axis).extent
    return Share(cpu, decision.axis if 0.0 < cpu < 1.0 else None)


class Pricer:
    """Prices tasks of one graph with one set of costs."""

    def __init__(self, graph: TaskGraph, costs: Costs, sync: SyncCost) -> None:
        self.costs = costs
        self.sync = sync
        self._inputs = _producers(graph)

    def alone(self, index: int, share: Share) -> Price:
        """Price of task `index` as if its inputs were where they are needed."""
        cost = self.costs.tasks[index]
        gpu_us = 0.0
        if share.cpu < 1.0 and cost.gpu_us is not None:
            fixed = min(self.sync.gpu_launch_us, cost.gpu_us)
            gpu_us = fixed + (cost.gpu_us - fixed) * (1.0 - share.cpu)
        sync_us = self.sync.split_us if share.split else 0.0
        return Price(cost.cpu_us * share.cpu, gpu_us, 0.0, 0.0, sync_us)

    def price(self, index: int, share: Share, made_by: Callable[[int], Share]) -> Price:
        """Price of task `index` where earlier task i was placed as `made_by(i)`."""
        alone = self.alone(index, share)
        to_cpu = to_gpu = 0.0
        handover = False
        for item in self._inputs[index]:
            source = Share(1.0) if item.task is None else made_by(item.task)
            cpu, gpu = _crossing(source, share, item)
            to_cpu += cpu * item.size_bytes
            to_gpu += gpu * item.size_bytes
            handover = handover or cpu > 0.0 or gpu > 0.0
        sync_us = alone.sync_us
        if handover and not share.split:
            sync_us += self.sync.handover_us
        return Price(
            alone.cpu_us,
            alone.gpu_us,
            self.sync.transfer_us(to_cpu),
            self.sync.transfer_us(to_gpu),
            sync_us,
        )


@dataclass(frozen=True)
class _Input:
    """An input of a task.

    `task` made it (None: the host); along `local_axes` a half of the task reads only its own
    part of it.
    """

    task: int | None
    size_bytes: int
    local_axes: frozenset[Axis]


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


def _crossing(source: Share, use: Share, item: _Input) -> tuple[float, float]:
    """Parts of an input that the CPU's half reads from the GPU's cache, and the reverse."""
    gpu_made, cpu_made = 1.0 - source.cpu, source.cpu
    reads_cpu, reads_gpu = use.cpu > 0.0, use.cpu < 1.0
    if use.axis is None or use.axis not in item.local_axes:
        return (gpu_made if reads_cpu else 0.0), (cpu_made if reads_gpu else 0.0)
    if source.axis in (None, use.axis):
        return max(0.0, use.cpu - source.cpu), max(0.0, source.cpu - use.cpu)
    return use.cpu * gpu_made, (1.0 - use.cpu) * cpu_made
