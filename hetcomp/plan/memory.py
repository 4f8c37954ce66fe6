"""Arena planning: lifetimes of tensors over the task order, and a place for each of them.

Greedy by size with best fit: the largest tensor is placed first, each next one into the smallest
gap that fits between the tensors it must not meet. Two tensors must not meet when they live at
the same time, or when different processors own their bytes: a line that another core has written
costs 5-9 ns to take over, which was measured as +4..77 us a layer. The second rule gives way, one
tensor after the other, where it would make the arena too large. Where an element-wise task reads a
tensor for the last time, its output takes over that tensor's memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hetcomp.errors import PlanError
from hetcomp.plan.graph import Space, Task, TaskGraph
from hetcomp.plan.plan import Decision, Mode, Place, Plan

__all__ = [
    "ALIGNMENT_BYTES",
    "ROOM",
    "Held",
    "Lifetime",
    "MemoryMap",
    "in_place",
    "lifetimes",
    "owners",
    "plan_memory",
]

ALIGNMENT_BYTES = 128
"""Largest alignment that every measured OpenCL runtime grants shared memory."""

SHARE_STEPS = 8
"""Shares of a split are rounded to eighths before owners are compared."""


_TO_NPU = "cpu to npu"


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


ROOM = 1.5
"""Arena that may be spent on keeping owners apart, over what is needed without."""


@dataclass(frozen=True)
class _Block:
    """Memory of a tensor and of those that take it over."""

    tensor: int
    size: int
    life: Lifetime
    owner: str


Held = Mapping[int, Lifetime]
"""How long what a task touches must be kept, where that is longer than the task: a region of the
NPU that runs beside other tasks."""


def lifetimes(graph: TaskGraph, held: Held | None = None) -> dict[int, Lifetime]:
    """Lifetimes of the arena's root tensors, by tensor index; unused tensors are left out.

    A tensor that task i reads still lives during task i, so it shares no memory with an output of
    task i, except as `in_place` says.
    """
    touched: dict[int, list[int]] = {}

    def touch(tensor: int, time: int) -> None:
        root = graph.root(tensor)
        if graph.tensors[root].space is Space.ARENA:
            touched.setdefault(root, []).append(time)

    for tensor in graph.inputs:
        touch(tensor, -1)
    for index, task in enumerate(graph.tasks):
        longer = (held or {}).get(index, Lifetime(index, index))
        for tensor in task.inputs + task.outputs:
            for time in (index, longer.first, longer.last):
                touch(tensor, time)
    for tensor in graph.outputs:
        touch(tensor, len(graph.tasks))
    return {root: Lifetime(min(times), max(times)) for root, times in touched.items()}


def owners(graph: TaskGraph, plan: Plan) -> dict[int, str]:
    """Who writes which bytes of each root tensor, as a key: equal keys, equal owners.

    Halves of a split fall on the same bytes only where size and share agree, so both are in the
    key. Graph inputs are written by the CPU. What the NPU reads of the CPU is apart, for it must
    stay until the NPU has ended.
    """
    by_task = {decision.task: decision for decision in plan.decisions}
    found: dict[int, str] = {}
    for task in graph.tasks:
        decision = by_task[task.name]
        extent = (task.rows if decision.axis.value == "rows" else task.channels).extent
        for tensor in task.outputs:
            root = graph.root(tensor)
            found[root] = _owner(decision, extent, graph.tensors[root].size_bytes)
    for task in graph.tasks:
        decision = by_task[task.name]
        if decision.place is Place.NPU or decision.shared_with_npu:
            roots = {graph.root(tensor) for tensor in task.inputs}
            found |= {root: _TO_NPU for root in roots if found.get(root, "cpu") == "cpu"}
    return found


def in_place(graph: TaskGraph, held: Held | None = None) -> dict[int, int]:
    """Root tensors that take over the memory of another, with that other.

    The task that writes the one reads the other for the last time, element by element. Inputs of
    the graph keep theirs: a profile runs several times on the same. So do those of held tasks,
    which others may read while these run.
    """
    lives = lifetimes(graph, held)
    found: dict[int, int] = {}
    for index, task in enumerate(graph.tasks):
        if held and index in held:
            continue
        target = graph.root(task.outputs[0])
        for source in _dying(graph, task, lives, index):
            if target not in found and _same_place(graph, task.outputs[0], source):
                found[target] = source
    return found


def _dying(
    graph: TaskGraph, task: Task, lives: Mapping[int, Lifetime], index: int
) -> Iterator[int]:
    """Root tensors that `task` reads for the last time, and nowhere but in place."""
    roots = [graph.root(tensor) for tensor in task.inputs]
    for position in task.in_place:
        root = roots[position]
        everywhere = all(p in task.in_place for p, other in enumerate(roots) if other == root)
        whole = graph.tensors[task.inputs[position]].pitch_bytes == 0
        life = lives.get(root)
        if everywhere and whole and life is not None and life.first >= 0 and life.last == index:
            yield root


def _same_place(graph: TaskGraph, output: int, source: int) -> bool:
    """Whether `output` may lie exactly where the root tensor `source` does."""
    target = graph.tensors[output]
    return target.alias_of is None and target.size_bytes == graph.tensors[source].size_bytes


def plan_memory(
    graph: TaskGraph,
    owner_of: Mapping[int, str] | None = None,
    room: float = ROOM,
    limit_bytes: int = 0,
    held: Held | None = None,
) -> MemoryMap:
    """Place every arena tensor.

    Parameters
    ----------
    graph
        The tasks in execution order.
    owner_of
        Owner key by root tensor, see `owners`; tensors without a key belong to the CPU.
    room
        Owners are kept apart as far as the arena does not exceed this multiple of what it takes
        otherwise.
    limit_bytes
        Largest arena; owners are kept apart within it only. 0: no limit.
    held
        By task: what it touches is kept longer.

    Returns
    -------
    MemoryMap
        Offsets are multiples of 128 bytes.

    Raises
    ------
    PlanError
        The arena needs more than `limit_bytes`.
    """
    heirs = in_place(graph, held)
    blocks = _blocks(graph, owner_of or {}, heirs, held)
    together = _place([replace(block, owner="any") for block in blocks], 0)
    least = _extent(blocks, together)
    if limit_bytes and least > limit_bytes:
        raise PlanError(
            f"'{graph.name}': activations need {least} bytes of memory, the limit is "
            f"{limit_bytes}; give a higher memory limit or a smaller input"
        )
    budget = min(room * least, limit_bytes or room * least)
    placed = _place(blocks, budget)
    if _extent(blocks, placed) > budget:
        placed = together
    for target, source in heirs.items():  # in task order, so that a source has its place
        placed[target] = placed[source]
    return MemoryMap(_offsets(graph, placed), _extent(blocks, placed))


def _blocks(
    graph: TaskGraph, keys: Mapping[int, str], heirs: Mapping[int, int], held: Held | None
) -> list[_Block]:
    """One block a root tensor, from the first use to the last of all that inherit its memory."""
    lives = lifetimes(graph, held)
    for target, source in reversed(list(heirs.items())):
        lives[source] = Lifetime(lives[source].first, lives.pop(target).last)
    return [
        _Block(root, _aligned(graph.tensors[root].size_bytes), life, keys.get(root, "cpu"))
        for root, life in lives.items()
    ]


def _owner(decision: Decision, extent: int, size_bytes: int) -> str:
    if decision.place is not Place.SPLIT:
        return str(decision.place.value)
    if decision.shared_with_npu:
        return "cpu"  # which takes the other half over
    if decision.mode is Mode.TICKETS:
        return f"tickets:{decision.axis.value}:{size_bytes}"
    if decision.cut in (0, extent):
        return "cpu" if decision.cut else "gpu"
    share = round(decision.cut * SHARE_STEPS / extent)
    return f"{decision.axis.value}:{share}/{SHARE_STEPS}:{size_bytes}"


def _place(blocks: list[_Block], budget: float) -> dict[int, int]:
    """Offsets; a block that would end beyond `budget` apart from other owners' is put to them."""
    done: list[_Block] = []
    offsets: dict[int, int] = {}
    for block in sorted(blocks, key=lambda b: (-b.size, b.life.first, b.tensor)):
        alive = [other for other in done if other.life.meets(block.life)]
        apart = [o for o in done if o.owner != block.owner or o.life.meets(block.life)]
        offset = _best_gap(_spans(apart, offsets), block.size)
        if offset + block.size > budget:
            offset = _best_gap(_spans(alive, offsets), block.size)
        offsets[block.tensor] = offset
        done.append(block)
    return offsets


def _spans(blocks: list[_Block], offsets: Mapping[int, int]) -> list[tuple[int, int]]:
    return sorted((offsets[b.tensor], offsets[b.tensor] + b.size) for b in blocks)


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
