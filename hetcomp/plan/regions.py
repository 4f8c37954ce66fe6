"""Regions: tasks that the NPU runs as one, what goes in and out, and when they are handed over.

A region is handed over as soon as all it reads is there, if the CPU made that, and taken back when
somebody wants what it made; so branches beside it run meanwhile. What the GPU or another region has
still to make is not waited for ahead of time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hetcomp.plan.graph import Space, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place
from hetcomp.plan.table import NpuStep

__all__ = ["Region", "npu_regions", "npu_steps"]


@dataclass(frozen=True)
class Region:
    """An NPU step and when it runs.

    Attributes
    ----------
    step
        What is handed over.
    begin
        The task before which it is handed over.
    end
        The last task before its outputs are wanted, or the last one of its own.
    """

    step: NpuStep
    begin: int
    end: int

    @property
    def is_plain(self) -> bool:
        """Whether it begins and ends with its own tasks, and nothing is between them."""
        tasks = self.step.tasks
        return tasks == tuple(range(self.begin, self.end + 1))


def npu_regions(
    graph: TaskGraph,
    decisions: Mapping[str, Decision],
    *,
    apart: bool = False,
    early: bool = True,
) -> tuple[Region, ...]:
    """The NPU's steps in the order in which they are handed over.

    A task that is placed there continues the region before it where it follows that directly, or
    where what lies between has to do with neither. So no region waits for a task that waits for it.
    The NPU's part of a task that it shares with the CPU is a region of its own.

    Parameters
    ----------
    graph
        The tasks in execution order.
    decisions
        By name of the task.
    apart
        Each task is a region of its own, to time it.
    early
        Whether regions may be handed over before the place of their first task.
    """
    former = _Former(graph, decisions, early=early)
    runs: list[list[int]] = []
    shared: list[Region] = []
    for index, task in enumerate(graph.tasks):
        decision = decisions[task.name]
        if decision.shared_with_npu:
            shared.append(former.part(index, decision))
        if decision.place is not Place.NPU:
            continue
        if not apart and runs and former.continues(runs[-1], index):
            runs[-1].append(index)
        else:
            runs.append([index])
    regions = [former.region(run) for run in runs] + shared
    return tuple(sorted(regions, key=lambda region: (region.begin, region.step.tasks)))


def npu_steps(graph: TaskGraph, decisions: Mapping[str, Decision]) -> tuple[NpuStep, ...]:
    """The steps of all regions of whole tasks, see `npu_regions`."""
    steps = (region.step for region in npu_regions(graph, decisions))
    return tuple(step for step in steps if not step.is_part)


class _Former:
    """Forms the regions of one plan."""

    def __init__(self, graph: TaskGraph, decisions: Mapping[str, Decision], *, early: bool) -> None:
        self._graph, self._early = graph, early
        self._late = [_is_late(decisions[task.name]) for task in graph.tasks]
        self._writers = _writers(graph)

    def continues(self, run: Sequence[int], index: int) -> bool:
        """Whether task `index` may join a region of the tasks `run` without delaying anything."""
        if run[-1] == index - 1:
            return True
        between = [i for i in range(run[0], index) if i not in run]
        made = {root for i in run for root in self._roots_written(i)}
        if not self._early or any(made & self._roots_touched(i) for i in between):
            return False
        return max(self._makers([index], run), default=-1) < self._begin(run)

    def region(self, run: Sequence[int]) -> Region:
        """The region of the tasks `run`."""
        step = _step(self._graph, self._writers, run)
        wanted = {self._graph.root(tensor) for tensor in step.outputs}
        users = (
            index
            for index in range(run[-1] + 1, len(self._graph.tasks))
            if wanted & self._roots_touched(index)
        )
        end = next(users, len(self._graph.tasks)) - 1 if self._early else run[-1]
        return Region(step, self._begin(run), max(end, run[-1]))

    def part(self, index: int, decision: Decision) -> Region:
        """The NPU's part of task `index`, which it shares with the CPU."""
        whole, task = self.region([index]), self._graph.tasks[index]
        step = replace(whole.step, row_end=task.rows.extent, channel_end=task.channels.extent)
        if decision.axis is Axis.ROWS:
            step = replace(step, row_begin=decision.cut)
        else:
            step = replace(step, channel_begin=decision.cut)
        return replace(whole, step=step)

    def _begin(self, run: Sequence[int]) -> int:
        makers = self._makers(run, run)
        there = max(makers, default=-1) + 1
        others = any(self._late[i] for i in makers)
        return max(there, run[0]) if others or not self._early else there

    def _makers(self, tasks: Sequence[int], inside: Sequence[int]) -> set[int]:
        """Tasks not `inside` that write what `tasks` read, before these."""
        found: set[int] = set()
        for index in tasks:
            roots = {self._graph.root(tensor) for tensor in self._graph.tasks[index].inputs}
            writers = {w for root in roots for w in self._writers.get(root, ())}
            found |= {writer for writer in writers if writer < index}
        return found - set(inside)

    def _roots_written(self, index: int) -> set[int]:
        return {self._graph.root(tensor) for tensor in self._graph.tasks[index].outputs}

    def _roots_touched(self, index: int) -> set[int]:
        task = self._graph.tasks[index]
        return {self._graph.root(tensor) for tensor in task.inputs + task.outputs}


def _is_late(decision: Decision) -> bool:
    """Whether nothing of a task may be waited for ahead of time."""
    return decision.place in (Place.GPU, Place.NPU) or decision.shared_with_npu


def _step(graph: TaskGraph, writers: Mapping[int, set[int]], tasks: Sequence[int]) -> NpuStep:
    inside = set(tasks)
    read = {tensor for index in tasks for tensor in graph.tasks[index].inputs}
    written = {tensor for index in tasks for tensor in graph.tasks[index].outputs}
    wanted = {graph.root(tensor) for tensor in graph.outputs}
    for index, task in enumerate(graph.tasks):
        if index not in inside:
            wanted.update(graph.root(tensor) for tensor in task.inputs)
    return NpuStep(
        tasks=tuple(tasks),
        inputs=tuple(
            tensor
            for tensor in sorted(read)
            if graph.tensors[graph.root(tensor)].space is Space.ARENA
            and not _made_inside(writers.get(graph.root(tensor), set()), inside)
        ),
        outputs=tuple(tensor for tensor in sorted(written) if graph.root(tensor) in wanted),
    )


def _made_inside(writers: set[int], inside: set[int]) -> bool:
    return bool(writers) and writers <= inside


def _writers(graph: TaskGraph) -> dict[int, set[int]]:
    """Tasks that write each root tensor: several write the slices of one."""
    found: dict[int, set[int]] = {}
    for index, task in enumerate(graph.tasks):
        for tensor in task.outputs:
            found.setdefault(graph.root(tensor), set()).add(index)
    return found
