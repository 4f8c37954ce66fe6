"""The model that the constants of a device are measured with, and step tables over its memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.table import Step
from hetcomp.profile.layers import Layer, Touch, touch_of
from hetcomp.profile.products import Linear
from hetcomp.profile.tables import Layout, layout_of

__all__ = [
    "COMPUTE",
    "FIRST",
    "OTHER_ROWS",
    "PROBES",
    "ROWS",
    "SECOND",
    "SMALL",
    "Room",
    "room_of",
    "whole",
]

_BLOCK = touch_of(4 << 20)
_ROWS = Linear(1024, 128, 256, 0)
PROBES: tuple[Layer, ...] = (
    *(_BLOCK, _BLOCK, Touch(1, 16), Linear(128, 512, 512, 0)),
    *(_ROWS, _ROWS),
)
FIRST, SECOND, SMALL, COMPUTE, ROWS, OTHER_ROWS = range(len(PROBES))
"""Two element-wise kernels over blocks of 16 MB, one over a line, a product that fits the cache,
and two of many short rows."""


@dataclass(frozen=True)
class Room:
    """Blocks of equal size in the arena, for the tensors of the probes."""

    graph: TaskGraph
    block_bytes: int
    tile_bytes: int

    def layout(self, places: Mapping[int, tuple[float, float]]) -> Layout:
        """Put input and output of some tasks into these blocks; the rest goes anywhere."""
        base = layout_of(self.graph)
        offsets = list(base.offsets)
        for index, (source, target) in places.items():
            task = self.graph.tasks[index]
            offsets[task.inputs[0]] = round(source * self.block_bytes)
            offsets[task.outputs[0]] = round(target * self.block_bytes)
        blocks = 1 + max(max(pair) for pair in places.values()) if places else 0
        size = max(base.arena_bytes, round(blocks * self.block_bytes))
        return Layout(tuple(offsets), size, base.input_bytes)

    def rows(self, task: int) -> int:
        """Rows of a task's output."""
        return math.prod(self.graph.tensors[self.graph.tasks[task].outputs[0]].shape[:-1])

    def block(self, task: int, size_bytes: int) -> Step:
        """A step over the first `size_bytes` of a block."""
        tiles = max(1, min(self.graph.tasks[task].rows.extent, size_bytes // self.tile_bytes))
        return Step(task, 0, tiles, 0, 1)


def room_of(graph: TaskGraph) -> Room:
    """Blocks as large as the probes over blocks."""
    task = graph.tasks[FIRST]
    size = graph.tensors[task.outputs[0]].size_bytes
    return Room(graph, size, size // task.rows.extent)


def whole(graph: TaskGraph, task: int) -> Step:
    """A step over the whole task."""
    item = graph.tasks[task]
    return Step(task, 0, item.rows.extent, 0, item.channels.extent)
