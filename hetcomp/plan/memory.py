"""Arena planning: lifetimes of tensors over the task order, and a place for each of them.

Greedy by size with best fit: the largest tensor is placed first, each next one into the smallest
gap that fits between the tensors it must not meet. Two tensors must not meet when they live at
the same time, or when different processors own their bytes: a line that another core has written
costs 5-9 ns to take over, which was measured as +4..77 us a layer. The second rule gives way
where it would make the arena larger than the caller's limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hetcomp.plan.graph import Space, TaskGraph
from hetcomp.plan.plan import Decision, Place, Plan

__all__ = ["ALIGNMENT_BYTES", "Lifetime", "MemoryMap", "lifetimes", "owners", "plan_memory"]

ALIGNMENT_BYTES = 128
"""Largest alignment that every measured OpenCL runtime grants shared memory."""

SHARE_STEPS = 8
"""Shares of a split are rounded to eighths before owners are compared."""


@dataclass(frozen=True)
class Lifetime:
    """Tasks `first` to `last` (both included) during which a tensor's bytes must be kept.

    -1 is "before the first task" (graph inputs), the number of tasks "after the last one"
    (graph outputs).
    """

    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Whether both live at the same time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryMap:
    """Offset of every tensor of a graph, in bytes, and the size of the arena.

    Constants carry their offset in the constants' block, aliases that of their root, slices theirs
    within it.
    """

    offsets: tuple[int, ...]
    arena_bytes: int


@dataclass(frozen=True)
class _Block:
    tensor: int
    size: int
    life: Lifetime
    owner: str


def lifetimes(graph: TaskGraph) -> dict[int, Lifetime]:
    """Lifetimes of the arena's root tensors, by tensor index; unused tensors are left out.

    A tensor that task i reads still lives during task i, so it never shares memory with an
    output of task i.
    """
    touched: dict[int, list[int]] = {}

    def touch(tensor: int, time: int) -> None:
        root = graph.root(tensor)
        if graph.tensors[root].space is Space.ARENA:
            touched.setdefault(root, []).append(time)

    for tensor in graph.inputs:
        touch(tensor, -1)
    for index, task in enumerate(graph.tasks):
        for tensor in task.inputs + task.outputs:
            touch(tensor, index)
    for tensor in graph.outputs:
        touch(tensor, len(graph.tasks))
    return {root: Lifetime(min(times), max(times)) for root, times in touched.items()}


def owners(graph: TaskGraph, plan: Plan) -> dict[int, str]:
    """Who writes which bytes of each root tensor, as a key: equal keys, equal owners.

    Halves of a split fall on the same bytes only where size and share agree, so both are in the
    key. Graph inputs are written by the CPU.
    """
    by_task = {decision.task: decision for decision in plan.decisions}
    found: dict[int, str] = {}
    for task in graph.tasks:
        decision = by_task[task.name]
        extent = (task.rows if decision.axis.value == "rows" else task.channels).extent
        for tensor in task.outputs:
            root = graph.root(tensor)
            found[root] = _owner(decision, extent, graph.tensors[root].size_bytes)
    return found


def plan_memory(
    graph: TaskGraph, owner_of: Mapping[int, str] | None = None, limit_bytes: int | None = None
) -> MemoryMap:
    """Place every arena tensor.

    Parameters
    ----------
    graph
        The tasks in execution order.
    owner_of
        Owner key by root tensor, see `owners`; tensors without a key belong to the CPU.
    limit_bytes
        Where keeping owners apart needs a larger arena than this, owners are not kept apart.

    Returns
    -------
    MemoryMap
        Offsets are multiples of 128 bytes.
    """
    keys = owner_of or {}
    blocks = [
        _Block(root, _aligned(graph.tensors[root].size_bytes), life, keys.get(root, "cpu"))
        for root, life in lifetimes(graph).items()
    ]
    placed = _place(blocks)
    if limit_bytes is not None and _extent(blocks, placed) > limit_bytes:
        blocks = [_Block(b.tensor, b.size, b.life, "any") for b in blocks]
        placed = _place(blocks)
    return MemoryMap(_offsets(graph, placed), _extent(blocks, placed))


def _owner(decision: Decision, extent: int, size_bytes: int) -> str:
    if decision.place is not Place.SPLIT:
        return str(decision.place.value)
    if decision.cut in (0, extent):
        return "cpu" if decision.cut else "gpu"
    share = round(decision.cut * SHARE_STEPS / extent)
    return f"{decision.axis.value}:{share}/{SHARE_STEPS}:{size_bytes}"


def _place(blocks: list[_Block]) -> dict[int, int]:
    done: list[_Block] = []
    offsets: dict[int, int] = {}
    for block in sorted(blocks, key=lambda b: (-b.size, b.life.first, b.tensor)):
        taken = sorted(
            (offsets[other.tensor], offsets[other.tensor] + other.size)
            for other in done
            if other.owner != block.owner or other.life.meets(block.life)
        )
        offsets[block.tensor] = _best_gap(taken, block.size)
        done.append(block)
    return offsets


def _best_gap(taken: list[tuple[int, int]], size: int) -> int:
    """Start of the smallest gap of at least `size` bytes between `taken`, else their end."""
    best_start, best_room, end = -1, 0, 0
    for begin, stop in taken:
        room = begin - end
        if room >= size and (best_start < 0 or room < best_room):
            best_start, best_room = end, room
        end = max(end, stop)
    return end if best_start < 0 else best_start


def _extent(blocks: list[_Block], offsets: dict[int, int]) -> int:
    return max((offsets[block.tensor] + block.size for block in blocks), default=0)


def _offsets(graph: TaskGraph, placed: dict[int, int]) -> tuple[int, ...]:
    return tuple(
        graph.tensors[graph.root(index)].offset_bytes
        if tensor.space is Space.CONSTANT
        else placed.get(graph.root(index), 0) + tensor.offset_bytes
        for index, tensor in enumerate(graph.tensors)
    )


def _aligned(size: int) -> int:
    return -(-max(size, 1) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
