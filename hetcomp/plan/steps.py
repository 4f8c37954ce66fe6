"""From a plan to the step table: who runs which tiles, in which order, and who waits for whom.

The unit of dependence is a root tensor's bytes in the arena: a step waits for every earlier step
of the other processor that wrote bytes it touches or read bytes it writes (RAW, WAW, WAR, memory
re-use included). The two halves of one task write disjoint elements and do not wait for each
other. Steps follow the task order and wait only for earlier tasks, so no cycle can arise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from hetcomp.plan.check import check_plan
from hetcomp.plan.graph import Space, Task, TaskGraph
from hetcomp.plan.memory import ROOM, MemoryMap, owners, plan_memory
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan
from hetcomp.plan.table import Step, StepTable

__all__ = ["make_table"]


@dataclass(frozen=True)
class _Span:
    """Bytes [begin, end) of the arena; of rows `pitch` apart the bytes [left, right)."""

    begin: int
    end: int
    pitch: int
    left: int
    right: int

    def meets(self, other: _Span) -> bool:
        if self.begin == other.begin and self.pitch == other.pitch:
            return self.left < other.right and other.left < self.right
        return self.begin < other.end and other.begin < self.end


@dataclass(frozen=True)
class _Access:
    """What a step touches."""

    task: int
    reads: tuple[_Span, ...]
    writes: tuple[_Span, ...]

    def conflicts(self, other: _Access) -> bool:
        if self.task == other.task:
            return False
        return (
            _any_meet(self.writes, other.writes)
            or _any_meet(self.writes, other.reads)
            or _any_meet(self.reads, other.writes)
        )


@dataclass
class _Lane:
    """Steps of one processor while the table is being made.

    `waited` is the highest wait so far: later steps need no wait up to there.
    """

    steps: list[Step] = field(default_factory=list)
    accesses: list[_Access] = field(default_factory=list)
    waited: int = 0

    def add(self, step: Step, access: _Access, other: _Lane) -> None:
        wait = _last_conflict(access, other, self.waited)
        self.waited = max(self.waited, wait)
        self.steps.append(replace(step, wait=wait))
        self.accesses.append(access)


def make_table(
    graph: TaskGraph, plan: Plan, *, room: float = ROOM, limit_bytes: int = 0
) -> StepTable:
    """Make the step table that executes `plan`.

    Parameters
    ----------
    graph
        The tasks in execution order.
    plan
        One decision per task, in any order; checked first.
    room, limit_bytes
        See `plan_memory`.

    Raises
    ------
    PlanError
        The plan does not fit the graph, or the graph the limit.
    """
    check_plan(graph, plan)
    memory = plan_memory(graph, owners(graph, plan), room, limit_bytes)
    by_task = {decision.task: decision for decision in plan.decisions}
    cpu, gpu = _Lane(), _Lane()
    for index, task in enumerate(graph.tasks):
        access = _access(graph, memory, index)
        cpu_step, gpu_step = _steps(task, index, by_task[task.name])
        if cpu_step is not None:
            cpu.add(cpu_step, access, gpu)
        if gpu_step is not None:
            gpu.add(gpu_step, access, cpu)
    return StepTable(
        name=plan.name,
        cpu=_with_signals(cpu, gpu, last_signals=False),
        gpu=_with_signals(gpu, cpu, last_signals=True),
        offsets=memory.offsets,
        arena_bytes=memory.arena_bytes,
    )


def _steps(task: Task, index: int, decision: Decision) -> tuple[Step | None, Step | None]:
    """The CPU's and the GPU's step of a task; None where a processor has nothing to do."""
    whole = Step(index, 0, task.rows.extent, 0, task.channels.extent)
    if decision.place is Place.CPU:
        return whole, None
    if decision.place is Place.GPU:
        return None, whole
    if decision.mode is Mode.TICKETS:
        rows = decision.axis is Axis.ROWS
        ticketed = replace(whole, ticket=decision.ticket if rows else -decision.ticket)
        return ticketed, ticketed
    cut = decision.cut
    if decision.axis is Axis.ROWS:
        extent = task.rows.extent
        halves = replace(whole, row_end=cut), replace(whole, row_begin=cut)
    else:
        extent = task.channels.extent
        halves = replace(whole, channel_end=cut), replace(whole, channel_begin=cut)
    return (halves[0] if cut > 0 else None), (halves[1] if cut < extent else None)


def _access(graph: TaskGraph, memory: MemoryMap, index: int) -> _Access:
    task = graph.tasks[index]
    return _Access(index, _spans(graph, memory, task.inputs), _spans(graph, memory, task.outputs))


def _spans(graph: TaskGraph, memory: MemoryMap, tensors: tuple[int, ...]) -> tuple[_Span, ...]:
    arena = sorted({t for t in tensors if graph.tensors[t].space is Space.ARENA})
    return tuple(_span(graph, memory, tensor) for tensor in arena)


def _span(graph: TaskGraph, memory: MemoryMap, index: int) -> _Span:
    """The bytes of a tensor; those of a whole one are a single row."""
    tensor, root = graph.tensors[index], graph.root(index)
    begin, size = memory.offsets[root], graph.tensors[root].size_bytes
    if not tensor.pitch_bytes:
        return _Span(begin, begin + size, size, 0, size)
    width = tensor.shape[-1] * tensor.size_bytes // math.prod(tensor.shape)
    left = tensor.offset_bytes
    return _Span(begin, begin + size, tensor.pitch_bytes, left, left + width)


def _last_conflict(access: _Access, other: _Lane, waited: int) -> int:
    """Highest ordinal of the other lane that `access` conflicts with, 0 if `waited` covers it."""
    for ordinal in range(len(other.steps), waited, -1):
        if access.conflicts(other.accesses[ordinal - 1]):
            return ordinal
    return 0


def _with_signals(lane: _Lane, other: _Lane, *, last_signals: bool) -> tuple[Step, ...]:
    awaited = {step.wait for step in other.steps}
    if last_signals:
        awaited.add(len(lane.steps))
    return tuple(
        replace(step, signal=ordinal in awaited) for ordinal, step in enumerate(lane.steps, start=1)
    )


def _any_meet(left: tuple[_Span, ...], right: tuple[_Span, ...]) -> bool:
    return any(one.meets(two) for one in left for two in right)
