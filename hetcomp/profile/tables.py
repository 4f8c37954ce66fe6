"""Step tables that put chosen parts of tasks into the surroundings of a network.

A network's kernel finds its inputs in the cache, because the task before it has just written them,
but its weights further away, because all other layers ran since. So every timed part comes after a
part of an element-wise kernel that rewrites its inputs, all inputs share one place and all outputs
another, and tasks take turns before the next part of the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetcomp.cost.work import Part
from hetcomp.plan.graph import Space, TaskGraph
from hetcomp.plan.table import Step, StepTable

__all__ = ["Layout", "in_turn", "layout_of", "step_of", "table_of"]

_ALIGNMENT = 128


@dataclass(frozen=True)
class Layout:
    """Where the tensors of a synthetic model lie.

    Attributes
    ----------
    offsets, arena_bytes
        As in a step table.
    input_bytes
        Of each task, from the beginning of the arena on.
    """

    offsets: tuple[int, ...]
    arena_bytes: int
    input_bytes: tuple[int, ...]


def layout_of(graph: TaskGraph, touch: int = 0) -> Layout:
    """All inputs from 0 on, all outputs behind the largest of them; `touch` works in place."""
    offsets = {i: t.offset_bytes for i, t in enumerate(graph.tensors) if t.space is Space.CONSTANT}
    input_bytes = []
    for task in graph.tasks:
        end = 0
        for tensor in task.inputs:
            root = graph.root(tensor)
            if graph.tensors[root].space is Space.ARENA:
                offsets[root] = end
                end += _aligned(graph.tensors[root].size_bytes)
        input_bytes.append(end)
    offsets[graph.root(graph.tasks[touch].outputs[0])] = 0
    first = end = max(input_bytes)
    for task in graph.tasks:
        place = first
        for tensor in task.outputs:
            root = graph.root(tensor)
            offsets.setdefault(root, place)
            place += _aligned(graph.tensors[root].size_bytes)
        end = max(end, place)
    for index, item in enumerate(graph.tensors):
        if item.space is Space.ARENA:
            # What no task reads or writes, as an input that is only reshaped, needs a place too.
            place = offsets.setdefault(graph.root(index), 0) + item.offset_bytes
            offsets.setdefault(index, place)
            end = max(end, place + _aligned(item.size_bytes))
    return Layout(tuple(offsets[i] for i in range(len(graph.tensors))), end, tuple(input_bytes))


def table_of(
    layout: Layout, cpu: Sequence[Step] = (), gpu: Sequence[Step] = (), name: str = "profile"
) -> StepTable:
    """A step table over this layout."""
    return StepTable(name, tuple(cpu), tuple(gpu), layout.offsets, layout.arena_bytes)


def in_turn(parts_by_task: Sequence[Sequence[Part]]) -> list[Part]:
    """One part of each task, then the next of each, until all are used."""
    longest = max(map(len, parts_by_task), default=0)
    return [parts[turn] for turn in range(longest) for parts in parts_by_task if turn < len(parts)]


def step_of(part: Part) -> Step:
    """A step that waits for nothing and signals, so that its end is seen."""
    return Step(part.task, part.row_begin, part.row_end, part.channel_begin, part.channel_end)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
