"""What the NPU adds to the placements of tasks: its own time, and the way there and back.

A region pays for the way once: half of what is fixed where it is entered, half where it is left,
and the copies of what crosses there. So tasks that follow each other share it, and a search over
the tasks forms the regions: one whose gain does not pay for its way is not formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.cost.npu_cost import NpuCost
from hetcomp.plan.candidates import Choice
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Place
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
        self._results = _results(graph)

    def own_us(self, index: int) -> Array:
        """Time of task `index` on the NPU and to bring the model's inputs and outputs, shape
        (placements,); 0 for other placements."""
        npu, on = self._npu, self._on[index]
        if npu is None or not on.any():
            return np.zeros(len(on))
        ways_us = [self.crossing_us(size) for size in self._results[index]]
        inputs = self._transfers.inputs[index]
        ways_us += [self.crossing_us(item.size_bytes) for item in inputs if item.maker is None]
        return np.where(on, (npu.task_us[index] or 0.0) + sum(ways_us), 0.0)

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


def island_us(graph: TaskGraph, transfers: Transfers, index: int, npu: NpuCost) -> float:
    """The way there and back of task `index` as a region of its own."""
    inputs = sum(item.size_bytes for item in transfers.inputs[index])
    outputs = sum(graph.tensors[tensor].size_bytes for tensor in graph.tasks[index].outputs)
    return npu.way.fixed_us + npu.way.copy_us(inputs + outputs)


def _results(graph: TaskGraph) -> list[list[int]]:
    """Bytes of the model's outputs by the task that writes them."""
    wanted = {graph.root(tensor) for tensor in graph.outputs}
    return [
        [graph.tensors[i].size_bytes for i in task.outputs if graph.root(i) in wanted]
        for task in graph.tasks
    ]
