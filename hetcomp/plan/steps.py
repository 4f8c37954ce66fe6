"""From a plan to the step table: who runs which tiles, in which order, and who waits for whom.

The unit of dependence is bytes in the arena: a step waits for every earlier step of the other
processor that wrote bytes it touches or read bytes it writes (RAW, WAW, WAR, memory re-use
included). A region of the NPU is two steps of the CPU, which hands it over as early as may be and
waits for it as late; between the two runs what touches other bytes, and where both share a task the
CPU's part of it. Cut by rows, a step touches the
rows of its tiles and the halo of its window, where the task says so (`Task.row_spans`), so that
halves with equal cuts run ahead of each other where no halo crosses. The two halves of one task
write disjoint elements and do not wait for each other. Steps follow the task order and wait only
for earlier tasks, so no cycle can arise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hetcomp.errors import PlanError
from hetcomp.plan.check import check_plan
from hetcomp.plan.graph import Space, Task, TaskGraph
from hetcomp.plan.memory import ROOM, Lifetime, MemoryMap, owners, plan_memory
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan
from hetcomp.plan.regions import Region, npu_regions
from hetcomp.plan.table import NpuStep, Step, StepTable

__all__ = ["make_table"]


@dataclass(frozen=True)
class _Span:
    """Bytes [begin, end) of the arena; of rows `pitch` apart, from `base` on, [left, right)."""

    begin: int
    end: int
    base: int
    pitch: int
    left: int
    right: int

    def meets(self, other: _Span) -> bool:
        if self.begin >= other.end or other.begin >= self.end:
            return False
        if self.base == other.base and self.pitch == other.pitch:
            return self.left < other.right and other.left < self.right
        return True


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
    graph: TaskGraph,
    plan: Plan,
    *,
    room: float = ROOM,
    limit_bytes: int = 0,
    npu_apart: bool = False,
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
    npu_apart
        See `npu_regions`; none of them is handed over early then.

    Raises
    ------
    PlanError
        The plan does not fit the graph, or the graph the limit.
    """
    check_plan(graph, plan)
    by_task = {decision.task: decision for decision in plan.decisions}
    regions = npu_regions(graph, by_task, apart=npu_apart, early=not npu_apart)
    own = owners(graph, plan)
    try:
        memory = plan_memory(graph, own, room, limit_bytes, _held(regions))
    except PlanError:
        if not _held(regions):
            raise
        regions = npu_regions(graph, by_task, early=False)
        memory = plan_memory(graph, own, room, limit_bytes)
    maker = _Maker(graph, memory, regions)
    for index, task in enumerate(graph.tasks):
        maker.hand_over(index)
        if by_task[task.name].place is Place.NPU:
            continue
        cpu_step, gpu_step = _steps(task, index, by_task[task.name])
        if cpu_step is not None:
            maker.add(cpu_step, maker.cpu, maker.gpu)
        if gpu_step is not None:
            maker.add(gpu_step, maker.gpu, maker.cpu)
    maker.collect_all()
    cpu, gpu = maker.cpu, maker.gpu
    return StepTable(
        name=plan.name,
        cpu=_with_signals(cpu, gpu, last_signals=False),
        gpu=_with_signals(gpu, cpu, last_signals=True),
        offsets=memory.offsets,
        arena_bytes=memory.arena_bytes,
        npu=tuple(region.step for region in regions),
    )


def _held(regions: Sequence[Region]) -> dict[int, Lifetime]:
    """How long tasks of regions that run beside others need their tensors."""
    return {
        task: Lifetime(min(region.begin, region.step.tasks[0]), region.end)
        for region in regions
        if not region.is_plain
        for task in region.step.tasks
    }


class _Maker:
    """Appends steps; takes a region's outputs over as late as what follows allows."""

    def __init__(self, graph: TaskGraph, memory: MemoryMap, regions: Sequence[Region]) -> None:
        self.cpu, self.gpu = _Lane(), _Lane()
        self._graph, self._memory, self._regions = graph, memory, regions
        self._running: dict[int, _Access] = {}  # by number: what each region may touch

    def add(self, step: Step, lane: _Lane, other: _Lane) -> None:
        """A kernel's step."""
        access = _access(self._graph, self._memory, step)
        self._collect_before(access)
        lane.add(step, access, other)

    def hand_over(self, task: int) -> None:
        """Start the regions that begin before `task`."""
        for number, region in enumerate(self._regions, start=1):
            if region.begin == task:
                self._hand_over(number)

    def _hand_over(self, number: int) -> None:
        access = self._access_of(number)
        self._collect_before(access)
        reads = replace(access, writes=())  # the CPU writes the outputs when it takes them over
        self.cpu.add(self._step(number, number), reads, self.gpu)
        self._running[number] = access

    def collect_all(self) -> None:
        """Take over what is still running."""
        for number in list(self._running):
            self._collect(number)

    def _collect_before(self, access: _Access) -> None:
        for number, running in list(self._running.items()):
            if running.conflicts(access):
                self._collect(number)

    def _collect(self, number: int) -> None:
        self.cpu.add(self._step(number, -number), self._running.pop(number), self.gpu)

    def _step(self, number: int, npu: int) -> Step:
        region = self._regions[number - 1].step
        return replace(self._own(region, region.tasks[0]), npu=npu)

    def _own(self, region: NpuStep, index: int) -> Step:
        """What a region computes of a task of it."""
        if not region.is_part:
            return _whole(self._graph.tasks[index], index)
        rows = region.row_begin, region.row_end
        return Step(index, *rows, region.channel_begin, region.channel_end)

    def _access_of(self, number: int) -> _Access:
        """All that its tasks touch: the CPU runs them where the NPU fails."""
        region = self._regions[number - 1].step
        steps = (self._own(region, index) for index in region.tasks)
        accesses = [_access(self._graph, self._memory, step) for step in steps]
        reads = (span for access in accesses for span in access.reads)
        writes = (span for access in accesses for span in access.writes)
        return _Access(region.tasks[0], tuple(reads), tuple(writes))


def _steps(task: Task, index: int, decision: Decision) -> tuple[Step | None, Step | None]:
    """The CPU's and the GPU's step of a task; None where a processor has nothing to do."""
    whole = _whole(task, index)
    if decision.place is Place.CPU:
        return whole, None
    if decision.place is Place.GPU:
        return None, whole
    if decision.mode is Mode.TICKETS:
        ticket = decision.ticket if decision.axis is Axis.ROWS else -decision.ticket
        ticketed = replace(whole, ticket=ticket, cut=decision.cut)
        return (
            replace(ticketed, leave=decision.cpu_leaves),
            replace(ticketed, leave=decision.gpu_leaves),
        )
    cut = decision.cut
    if decision.axis is Axis.ROWS:
        extent = task.rows.extent
        halves = replace(whole, row_end=cut), replace(whole, row_begin=cut)
    else:
        extent = task.channels.extent
        halves = replace(whole, channel_end=cut), replace(whole, channel_begin=cut)
    if decision.shared_with_npu:
        return halves[0], None
    return (halves[0] if cut > 0 else None), (halves[1] if cut < extent else None)


def _whole(task: Task, index: int) -> Step:
    return Step(index, 0, task.rows.extent, 0, task.channels.extent)


def _access(graph: TaskGraph, memory: MemoryMap, step: Step) -> _Access:
    task = graph.tasks[step.task]
    spans = [
        _span(graph, memory, tensor, _touched(task, position, step))
        for position, tensor in enumerate(task.inputs + task.outputs)
        if graph.tensors[tensor].space is Space.ARENA
    ]
    n_outputs = sum(graph.tensors[tensor].space is Space.ARENA for tensor in task.outputs)
    split = len(spans) - n_outputs
    return _Access(step.task, tuple(spans[:split]), tuple(spans[split:]))


def _touched(task: Task, position: int, step: Step) -> range | None:
    """The bytes of a parameter that a step touches, None for all."""
    span = task.span_of(position)
    return None if span is None else span.of_tiles(step.row_begin, step.row_end)


def _span(graph: TaskGraph, memory: MemoryMap, index: int, touched: range | None) -> _Span:
    """The bytes of a tensor, or those `touched` of it; those of a whole one are a single row."""
    tensor, root = graph.tensors[index], graph.root(index)
    base, size = memory.offsets[root], graph.tensors[root].size_bytes
    if not tensor.pitch_bytes:
        if touched is None or tensor.size_bytes != size:
            return _Span(base, base + size, base, size, 0, size)
        return _Span(base + touched.start, base + min(touched.stop, size), base, size, 0, size)
    width = tensor.row_bytes
    begin, end = base, base + size
    if touched is not None:
        begin = base + touched.start // width * tensor.pitch_bytes
        end = min(end, base - (-touched.stop // width) * tensor.pitch_bytes)
    left = tensor.offset_bytes
    return _Span(begin, end, base, tensor.pitch_bytes, left, left + width)


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
