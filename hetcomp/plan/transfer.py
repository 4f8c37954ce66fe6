"""What a processor must take over of a task's inputs from the cache of the other one.

Cut by rows, a half reads the rows of its own part and the halo of its window; what crosses is what
the other side made of these. The formulas work on arrays, so that a planner asks at once for all
placements of a maker against all of a user.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Space, Task, TaskGraph, Tensor
from hetcomp.plan.plan import Axis, Decision, Mode, Place

__all__ = ["Crossing", "Input", "Share", "Shares", "Transfers", "output_rows", "share_of"]

_CHANNEL_LOCAL = frozenset({"depthwise", "elementwise"})
"""Kinds whose output channel needs only the same channel of the input."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Share:
    """Part [0, cpu) of a task that the CPU takes; `axis` is None for 0 and 1.

    With tickets `slack` is the part on either side of `cpu` of which nobody knows who takes it.
    """

    cpu: float
    axis: Axis | None = None
    slack: float = 0.0

    @property
    def split(self) -> bool:
        """Whether both processors have a part."""
        return 0.0 < self.cpu < 1.0


def share_of(task: Task, decision: Decision) -> Share:
    """The CPU's share under `decision`; the NPU's results come through the CPU."""
    if decision.place is not Place.SPLIT or decision.shared_with_npu:
        return Share(0.0 if decision.place is Place.GPU else 1.0)
    extent = grid_of(task, decision.axis).extent
    cpu = decision.cut / extent
    if decision.mode is Mode.TICKETS:
        return Share(cpu, decision.axis, decision.ticket / extent)
    return Share(cpu, decision.axis if 0.0 < cpu < 1.0 else None)


class Shares:
    """Several placements of one task, as arrays of shape (n,).

    Attributes
    ----------
    cpu
        The CPU's part.
    rows, channels
        Whether it is a split along that axis.
    slack
        Part on either side of the border that either processor may take.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        self.cpu = np.array([share.cpu for share in shares])
        self.rows = np.array([share.axis is Axis.ROWS for share in shares])
        self.channels = np.array([share.axis is Axis.CHANNELS for share in shares])
        self.slack = np.array([share.slack for share in shares])


@dataclass(frozen=True)
class Crossing:
    """Bytes of one input that either processor reads and the other one wrote."""

    to_cpu_bytes: float
    to_gpu_bytes: float


@dataclass(frozen=True)
class Input:
    """What a task reads of one other task's output.

    Attributes
    ----------
    maker
        Task that wrote it; None: the host, on the CPU.
    size_bytes
        All of it.
    local_axes
        Axes along which a half of the task reads only its own part of it, and its halo.
    halo
        Parts of it that a half by rows reads before and behind its own part.
    by_rows
        Whether it is known which rows of it the maker's tiles write and the task's tiles read, so
        that a half waits for the rows it reads and no others.
    """

    maker: int | None
    size_bytes: int
    local_axes: frozenset[Axis]
    halo: tuple[float, float] = (0.0, 0.0)
    by_rows: bool = False

    def crossing(self, made: Shares, used: Shares) -> tuple[Array, Array]:
        """Bytes that cross to the CPU and to the GPU, each of shape (made, used)."""
        cpu, slack = made.cpu[:, None], made.slack[:, None]
        upto, since = self._reach(used)
        # Made whole or in rows: the CPU wrote the bytes before the border, the GPU the others.
        to_cpu = np.maximum(upto - np.maximum(cpu - slack, 0.0), 0.0)
        to_gpu = np.maximum(np.minimum(cpu + slack, 1.0) - since, 0.0)
        by_channels = made.channels[:, None]
        if by_channels.any():
            to_cpu = np.where(by_channels, upto * (1.0 - cpu), to_cpu)
            to_gpu = np.where(by_channels, (1.0 - since) * cpu, to_gpu)
        if Axis.CHANNELS in self.local_axes and used.channels.any():
            own = used.channels[None, :]
            to_cpu = np.where(own, _own_channels(cpu, used.cpu, by_channels), to_cpu)
            to_gpu = np.where(own, _own_channels(1 - cpu, 1 - used.cpu, by_channels), to_gpu)
        return to_cpu * self.size_bytes, to_gpu * self.size_bytes

    def _reach(self, used: Shares) -> tuple[Array, Array]:
        """The CPU reads up to the first part of the whole, the GPU from the second on."""
        upto = np.where(used.cpu > 0.0, 1.0, 0.0)
        since = np.where(used.cpu < 1.0, 0.0, 1.0)
        if Axis.ROWS in self.local_axes:
            before, behind = self.halo
            last, first = used.cpu + used.slack, used.cpu - used.slack
            upto = np.where(used.rows, np.minimum(last + behind, 1.0), upto)
            since = np.where(used.rows, np.maximum(first - before, 0.0), since)
        return upto, since


def _own_channels(made: Array, used: Array, by_channels: Array) -> Array:
    """Part that a side reads of its `used` channels and did not make itself."""
    return np.where(by_channels, np.maximum(used - made, 0.0), used * (1.0 - made))


def output_rows(graph: TaskGraph, task: Task) -> int:
    """Rows of a task's output in memory, each of which a cut by channels divides."""
    return sum(math.prod(graph.tensors[tensor].shape[:-1]) for tensor in task.outputs)


class Transfers:
    """Who made the inputs of every task of one graph.

    Attributes
    ----------
    inputs
        By task; a tensor that several tasks wrote in parts counts once for each.
    """

    def __init__(self, graph: TaskGraph) -> None:
        self.inputs = _inputs(graph)

    def crossings(
        self, index: int, share: Share, made_by: Callable[[int], Share]
    ) -> tuple[Crossing, ...]:
        """What crosses of each input of task `index`, where task i was placed as `made_by(i)`."""
        used = Shares([share])
        found = []
        for item in self.inputs[index]:
            made = Share(1.0) if item.maker is None else made_by(item.maker)
            to_cpu, to_gpu = item.crossing(Shares([made]), used)
            found.append(Crossing(float(to_cpu[0, 0]), float(to_gpu[0, 0])))
        return tuple(found)


def _inputs(graph: TaskGraph) -> tuple[tuple[Input, ...], ...]:
    makers: dict[int, dict[int, int]] = {}
    found: list[tuple[Input, ...]] = []
    for index, task in enumerate(graph.tasks):
        inputs = []
        for position, tensor in enumerate(task.inputs):
            root = graph.root(tensor)
            if graph.tensors[root].space is not Space.ARENA:
                continue
            axes = _local_axes(graph, task, position)
            halo = _halo(graph, task, position)
            parts = _parts(graph, makers.get(root, {}), tensor)
            for maker, size in parts.items():
                by_rows = maker is not None and halo is not None and _writes_rows(graph, maker)
                inputs.append(Input(maker, size, axes, halo or (0.0, 0.0), by_rows))
        found.append(tuple(inputs))
        for tensor in task.outputs:
            _note_maker(graph, makers, index, tensor)
    return tuple(found)


def _parts(graph: TaskGraph, written: Mapping[int, int], tensor: int) -> dict[int | None, int]:
    """Makers of what `tensor` holds, with the bytes of each; `written` has tasks by tensor."""
    if tensor in written or not written:
        return {written.get(tensor): graph.tensors[tensor].size_bytes}
    parts: dict[int | None, int] = {}
    for other, maker in written.items():
        shared = _shared_bytes(graph.tensors[other], graph.tensors[tensor])
        if shared:
            parts[maker] = parts.get(maker, 0) + shared
    return parts


def _shared_bytes(one: Tensor, other: Tensor) -> int:
    """Bytes that two tensors in the same memory have in common: slices, or all of it."""
    if not one.pitch_bytes or not other.pitch_bytes:
        return min(one.size_bytes, other.size_bytes)
    left = max(one.offset_bytes, other.offset_bytes)
    right = min(tensor.offset_bytes + tensor.row_bytes for tensor in (one, other))
    return max(0, right - left) * (one.size_bytes // one.row_bytes)


def _note_maker(
    graph: TaskGraph, makers: dict[int, dict[int, int]], index: int, tensor: int
) -> None:
    """`index` writes `tensor`: a slice beside other tasks' slices, or the whole of its memory."""
    root = graph.root(tensor)
    if not graph.tensors[tensor].pitch_bytes:
        makers[root] = {}
    makers.setdefault(root, {})[tensor] = index


def _halo(graph: TaskGraph, task: Task, position: int) -> tuple[float, float] | None:
    """Parts of an input that a cut by rows reads beside its own, before and behind the cut; None
    where that is not known. Negative where the window leaves rows out."""
    span = task.span_of(position)
    if span is None:
        return None
    size = graph.tensors[task.inputs[position]].size_bytes
    return -span.begin / size, (span.begin + span.size - span.step) / size


def _writes_rows(graph: TaskGraph, maker: int) -> bool:
    """Whether it is known which rows the tiles of a task write."""
    task = graph.tasks[maker]
    return all(task.span_of(len(task.inputs) + i) is not None for i in range(len(task.outputs)))


def _local_axes(graph: TaskGraph, task: Task, position: int) -> frozenset[Axis]:
    tensor = graph.tensors[task.inputs[position]]
    same_shape = bool(task.outputs) and tensor.shape == graph.tensors[task.outputs[0]].shape
    axes = set()
    if position == 0 or (same_shape and task.kind != "matmul"):
        axes.add(Axis.ROWS)
    if task.kind in _CHANNEL_LOCAL or (same_shape and position > 0 and task.kind != "matmul"):
        axes.add(Axis.CHANNELS)
    return frozenset(axes)
