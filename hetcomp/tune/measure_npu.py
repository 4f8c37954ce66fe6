"""Measure every task on the NPU's driver, and what the way there costs.

Each task is a region of its own first, so that its time and the way there are seen one by one.
Then all that the driver takes is handed over in as few regions as can be: what lies within a
region need not be brought into the driver's form and back, and a task's share of that gain is taken
to be that of the region.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from hetcomp.cost.npu_cost import NpuCost, SeenWay, WayThere, fit_way
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Place, Plan
from hetcomp.plan.planners import on_npu
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import StepTable
from hetcomp.tune.observed import calm
from hetcomp.tune.session import ProfilingSession, RunTimes

__all__ = ["measure_npu"]

_ROUNDS = 9
_ENOUGH_SECONDS = 1.0
"""After which no further inference starts; the first is always done."""


def measure_npu(
    session: ProfilingSession,
    driver: str,
    progress: Callable[[str, float], None] | None = None,
) -> NpuCost | None:
    """Time what the driver takes of `session.graph`.

    Parameters
    ----------
    session
        A loaded model. Another step table is installed when this returns.
    driver
        Name of the driver that it uses.
    progress
        Called with a text and the part done, 0 to 1.

    Returns
    -------
    NpuCost or None
        None where the driver ran no task at all.
    """
    say = progress or (lambda _text, _done: None)
    graph, plan = session.graph, on_npu(session.graph)
    say("measuring tasks on the NPU", 0.0)
    apart = _Regions(graph, make_table(graph, plan, npu_apart=True))
    runs = _runs(session, apart.table)
    task_us = {
        step.tasks[0]: us
        for step, us in zip(apart.table.npu, apart.times_us(runs), strict=True)
        if us is not None
    }
    if not task_us:
        return None
    way = apart.way(runs)
    say("measuring regions of the NPU", 0.5)
    joined = _Regions(graph, make_table(graph, _only(plan, task_us)))
    within = _within(joined, _runs(session, joined.table), task_us)
    return NpuCost(driver, tuple(within.get(i) for i in range(len(graph.tasks))), way)


@dataclass(frozen=True)
class _Regions:
    """The regions of a table, timed."""

    graph: TaskGraph
    table: StepTable

    def times_us(self, runs: Sequence[RunTimes]) -> list[float | None]:
        """The NPU's own time by region, None where it did not run it."""
        found = []
        for index in range(len(self.table.npu)):
            spans = [span for run in runs if (span := run.npu[index]) is not None]
            times = [span.end_us - span.start_us for span in spans]
            found.append(median(times) if times else None)
        return found

    def way(self, runs: Sequence[RunTimes]) -> WayThere:
        """By regions that were taken back right after they were handed over, or else by all."""
        steps = list(enumerate(self._steps()))
        direct = [item for item in steps if item[1][1] == item[1][0] + 1]
        return fit_way(
            [
                seen
                for index, (there, back) in direct or steps
                for run in runs
                if (seen := _seen(run, index, there, back, self._bytes(index)))
            ]
        )

    def _steps(self) -> list[tuple[int, int]]:
        """The CPU's steps of each region."""
        at = {step.npu: place for place, step in enumerate(self.table.cpu) if step.npu}
        return [(at[number], at[-number]) for number in range(1, len(self.table.npu) + 1)]

    def _bytes(self, index: int) -> float:
        step = self.table.npu[index]
        return float(sum(self.graph.tensors[i].size_bytes for i in step.inputs + step.outputs))


def _seen(run: RunTimes, index: int, there: int, back: int, size_bytes: float) -> SeenWay | None:
    """The way of one region in one inference."""
    span = run.npu[index]
    if span is None:
        return None
    begin, end = run.cpu[there], run.cpu[back]
    return SeenWay(
        size_bytes,
        overhead_us=end.end_us - begin.start_us - (span.end_us - span.start_us),
        submit_us=begin.end_us - begin.start_us,
        collect_us=end.end_us - max(end.start_us, span.end_us),
    )


def _runs(session: ProfilingSession, table: StepTable) -> Sequence[RunTimes]:
    """Profile `table`: a slow driver once, others as often as there is time, the first left out."""
    session.set_table(table)
    begin = time.perf_counter()
    runs = list(session.profile(1).runs)
    while len(runs) <= _ROUNDS and time.perf_counter() - begin < _ENOUGH_SECONDS:
        runs += session.profile(1).runs
    return calm(runs[1:] or runs)


def _only(plan: Plan, taken: Mapping[int, float]) -> Plan:
    """`plan` with what the driver refused on the CPU."""
    decisions = (
        decision if index in taken else replace(decision, place=Place.CPU)
        for index, decision in enumerate(plan.decisions)
    )
    return replace(plan, decisions=tuple(decisions))


def _within(
    joined: _Regions, runs: Sequence[RunTimes], task_us: Mapping[int, float]
) -> dict[int, float]:
    """The tasks' times, scaled so that those of each region add up to what it took."""
    found = dict(task_us)
    for step, region_us in zip(joined.table.npu, joined.times_us(runs), strict=True):
        apart_us = sum(task_us[task] for task in step.tasks)
        if region_us is None or region_us >= apart_us:
            continue
        found |= {task: task_us[task] * region_us / apart_us for task in step.tasks}
    return found
