"""Measure every task and its halves on either processor, in the place where they run.

Tasks are timed inside whole inferences, not alone: so each finds its inputs and weights in the
caches as it will. Halves are timed in inferences of that half alone, whose results are nobody's:
what a split adds to them is priced apart. The inferences take turns, so that all see the same load.
Parts with the same kernel, grids and tiles share one time, the median over the least disturbed
inferences.
Not the least: a GPU step is seen from outside, as the difference of two ends that the CPU noticed,
and a preempted CPU makes one step longer and the next one shorter. And the sum of least times is
less than any inference takes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from hetcomp.cost.cache import TimeKey, TimesCache
from hetcomp.cost.costs import Costs, PartTime, TaskCost
from hetcomp.cost.work import Part
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Axis, Place
from hetcomp.plan.planners import fixed_split, single
from hetcomp.plan.simulate import step_part
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import StepTable
from hetcomp.tune.observed import calm, cpu_times, gpu_times
from hetcomp.tune.session import ProfilingSession, RunTimes

__all__ = ["MeasureOptions", "measure"]

CPU, GPU = "cpu", "gpu"


@dataclass(frozen=True)
class MeasureOptions:
    """How long to measure.

    `rounds` turns of `reps` inferences a table; `least_rounds` will do once `enough_seconds` have
    passed, and any number after `cap_seconds`. A task that a whole inference cannot time is timed
    alone, `alone_reps` times.
    """

    rounds: int = 8
    least_rounds: int = 4
    reps: int = 3
    enough_seconds: float = 3.0
    cap_seconds: float = 15.0
    alone_reps: int = 5


def measure(
    session: ProfilingSession,
    device: str,
    *,
    gpu: bool = True,
    cache: TimesCache | None = None,
    options: MeasureOptions | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Costs:
    """Time every task of `session.graph`.

    Parameters
    ----------
    session
        A loaded model. Another step table is installed when this returns.
    device
        Fingerprint under which times are kept, see `hetcomp.devices.fingerprint`.
    gpu
        Whether the session has a device; without one no task gets a GPU time.
    cache
        Times measured before. Nothing is run where it has them all; new times are added.
    options
        How long to measure.
    progress
        Called with a text and the part done, 0 to 1.

    Returns
    -------
    Costs
        In microseconds; `gpu_us` is None for tasks without an OpenCL kernel.
    """
    graph = session.graph
    tables = _tables(graph, gpu=gpu)
    wanted = {part: _key(graph, part, device) for table in tables for part in table.parts}
    known = {key: us for key in wanted.values() if cache and (us := cache.get(key)) is not None}
    if any(key not in known for key in wanted.values()):
        known = _measure(session, tables, wanted, options or MeasureOptions(), progress)
        if cache:
            cache.put(known)
    return _costs(graph, {part: known[key] for part, key in wanted.items()}, device)


@dataclass(frozen=True)
class _Table:
    """A step table whose steps on one processor are timed."""

    steps: StepTable
    processor: str

    @property
    def parts(self) -> list[Part]:
        """What they compute."""
        steps = self.steps.cpu if self.processor == CPU else self.steps.gpu
        return [step_part(self.processor, step) for step in steps]

    def times(self, runs: Sequence[RunTimes]) -> dict[int, list[float]]:
        """Samples per task."""
        observe = cpu_times if self.processor == CPU else gpu_times
        return observe(self.steps, calm(runs))


def _tables(graph: TaskGraph, *, gpu: bool) -> list[_Table]:
    """Everything on either processor, and either half of everything along both axes."""
    tables = [_Table(make_table(graph, single(graph, Place.CPU)), CPU)]
    if not gpu or not any(graph.kernels[task.kernel].opencl for task in graph.tasks):
        return tables
    tables.append(_Table(_all_signal(make_table(graph, single(graph, Place.GPU))), GPU))
    for axis in Axis:
        both = make_table(graph, fixed_split(graph, axis=axis))
        cpu = tuple(replace(step, wait=0, signal=False) for step in both.cpu)
        tables.append(_Table(replace(both, cpu=cpu, gpu=()), CPU))
        gpu_steps = tuple(replace(step, wait=0) for step in both.gpu)
        if gpu_steps:
            tables.append(_Table(_all_signal(replace(both, cpu=(), gpu=gpu_steps)), GPU))
    return tables


def _measure(
    session: ProfilingSession,
    tables: Sequence[_Table],
    wanted: Mapping[Part, TimeKey],
    options: MeasureOptions,
    progress: Callable[[str, float], None] | None,
) -> dict[TimeKey, float]:
    runs: list[list[RunTimes]] = [[] for _ in tables]
    begin = time.perf_counter()
    for number in range(options.rounds):
        for table, found in zip(tables, runs, strict=True):
            found += _runs(session, table.steps, options.reps)
        if progress:
            progress("measuring tasks", (number + 1) / options.rounds)
        spent = time.perf_counter() - begin
        enough = spent > options.enough_seconds and number + 1 >= options.least_rounds
        if enough or spent > options.cap_seconds:
            break
    samples: dict[TimeKey, list[float]] = defaultdict(list)
    for table, found in zip(tables, runs, strict=True):
        times = table.times(found)
        for part in table.parts:
            samples[wanted[part]] += times.get(part.task, [])
    for part, key in wanted.items():
        if not samples[key]:
            samples[key] = _alone(session, part, options.alone_reps)
    return {key: median(values) for key, values in samples.items()}


def _runs(session: ProfilingSession, table: StepTable, reps: int) -> Sequence[RunTimes]:
    """Profile `table`; the first inference after the change warms the caches and is dropped."""
    session.set_table(table)
    return session.profile(reps + 1).runs[1:]


def _alone(session: ProfilingSession, part: Part, reps: int) -> list[float]:
    rows, channels = (part.row_begin, part.row_end), (part.channel_begin, part.channel_end)
    times = session.time_task(
        part.task, part.processor, rows=rows, channels=channels, warmup=1, reps=reps
    )
    return list(times)


def _all_signal(table: StepTable) -> StepTable:
    """Every GPU step publishes its end, so that the watcher can stamp it."""
    return replace(table, gpu=tuple(replace(step, signal=True) for step in table.gpu))


def _key(graph: TaskGraph, part: Part, device: str) -> TimeKey:
    task = graph.tasks[part.task]
    tiles = part.row_end - part.row_begin, part.channel_end - part.channel_begin
    extents = task.rows.extent, task.channels.extent
    return TimeKey(graph.kernels[task.kernel].key, *extents, *tiles, part.processor, device)


def _costs(graph: TaskGraph, times: Mapping[Part, float], device: str) -> Costs:
    """Whole tasks and parts, apart."""
    whole: dict[tuple[int, str], float] = {}
    parts = []
    for part, time_us in times.items():
        task = graph.tasks[part.task]
        if part.tiles == task.rows.extent * task.channels.extent:
            whole[part.task, part.processor] = time_us
        else:
            parts.append(PartTime(part, time_us))
    tasks = (TaskCost(whole[i, CPU], whole.get((i, GPU))) for i in range(len(graph.tasks)))
    return Costs(tuple(tasks), device, tuple(parts))
