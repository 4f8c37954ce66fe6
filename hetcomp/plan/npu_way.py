"""What the NPU adds to the placements of tasks: its own time, and the way there and back.

A region pays for the way once: half of what is fixed where it is entered, half where it is left,
and the copies of what crosses there. So tasks that follow each other share it, and a search over
the tasks forms the regions: one whose gain does not pay for its way is not formed. The part of a
task that is shared with the CPU pays for its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.cost.npu_cost import NpuCost
from hetcomp.plan.candidates import Choice
from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place
from hetcomp.plan.transfer import Transfers

__all__ = ["NpuWay", "island_us"]

Array = NDArray[Any]


class NpuWay:
    """The NPU's part in the prices of one graph's placements; nothing where `npu` is None."""

    def __init__(
        self,
        graph: TaskGraph,
        transfers: Transfers,
        choices: Sequence[Sequence[Choice]],
        npu: NpuCost | None,
    ) -> None:
        self._npu, self._transfers = npu, transfers
        self._on = [
            np.array([choice.decision.place is Place.NPU for choice in options])
            for options in choices
        ]
        self._parts = [
            np.array([_npu_part(task, choice.decision) for choice in options])
            for task, options in zip(graph.tasks, choices, strict=True)
        ]
        self._by_channels = [
            np.array([choice.decision.axis is Axis.CHANNELS for choice in options])
            for options in choices
        ]
        self._graph, self._results = graph, _results(graph)

    def held_us(self, index: int, cpu_us: Array) -> Array:
        """Time for which task `index` holds the CPU, shape (placements,); `cpu_us` is that of the
        CPU's own part. On the NPU, with the ways to bring the model's inputs and outputs."""
        npu, on, parts = self._npu, self._on[index], self._parts[index]
        npu_us = None if npu is None else npu.task_us[index]
        if npu is None or npu_us is None:
            return cpu_us
        ways_us = [self.crossing_us(size) for size in self._results[index]]
        inputs = self._transfers.inputs[index]
        ways_us += [self.crossing_us(item.size_bytes) for item in inputs if item.maker is None]
        found = np.where(on, npu_us + sum(ways_us), cpu_us)
        beside_us = np.maximum(cpu_us, npu_us * parts + npu.way.latency_us)
        read = np.where(self._by_channels[index], 1.0, parts)
        island = island_us(self._graph, self._transfers, index, npu, read, parts)
        return np.where(parts > 0.0, beside_us + island - npu.way.latency_us, found)

    def crossing_us(self, size_bytes: float) -> float:
        """To enter or leave a region with so many bytes."""
        assert self._npu is not None
        return self._npu.way.fixed_us / 2.0 + self._npu.way.copy_us(size_bytes)

    def between_us(self, maker: int, user: int, size_bytes: float) -> Array:
        """To enter or leave between two tasks, shape (placements of the maker, of the user)."""
        made, used = self._on[maker][:, None], self._on[user][None, :]
        if self._npu is None:
            return np.zeros((made.shape[0], used.shape[1]))
        return np.where(made != used, self.crossing_us(size_bytes), 0.0)


def island_us(
    graph: TaskGraph,
    transfers: Transfers,
    index: int,
    npu: NpuCost,
    read: Any = 1.0,
    written: Any = 1.0,
) -> Any:
    """The way there and back of task `index`, or of parts of it, as a region of its own.

    `read` and `written` are the parts of its inputs and outputs that go there, and come back.
    """
    inputs = sum(item.size_bytes for item in transfers.inputs[index])
    outputs = sum(graph.tensors[tensor].size_bytes for tensor in graph.tasks[index].outputs)
    return npu.way.fixed_us + npu.way.copy_us(inputs * read + outputs * written)


def _npu_part(task: Task, decision: Decision) -> float:
    """The NPU's part of a task that it shares; 0 where it does not."""
    if not decision.shared_with_npu:
        return 0.0
    return 1.0 - decision.cut / grid_of(task, decision.axis).extent


def _results(graph: TaskGraph) -> list[list[int]]:
    """Bytes of the model's outputs by the task that writes them."""
    wanted = {graph.root(tensor) for tensor in graph.outputs}
    return [
        [graph.tensors[i].size_bytes for i in task.outputs if graph.root(i) in wanted]
        for task in graph.tasks
    ]
