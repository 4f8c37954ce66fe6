"""Measure every task on either processor, in the place where it runs.

Tasks are timed inside whole inferences, not alone: so each finds its inputs and weights in the
caches as it will. The CPU's and the GPU's inferences take turns, so that both see the same load.
Tasks with the same kernel and grids share one time, the median over the least disturbed inferences.
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
from hetcomp.cost.costs import Costs, TaskCost
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import single
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import StepTable
from hetcomp.tune.observed import calm, cpu_times, gpu_times
from hetcomp.tune.session import ProfilingSession, RunTimes

__all__ = ["MeasureOptions", "measure"]

CPU, GPU = "cpu", "gpu"


@dataclass(frozen=True)
class MeasureOptions:
    """How long to measure.

    `rounds` turns of `reps` inferences a processor, cut short after `cap_seconds`; a task that a
    whole inference cannot time is timed alone, `alone_reps` times.
    """

    rounds: int = 8
    reps: int = 3
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
    wanted = _keys(graph, device, gpu)
    known = {key: us for key in wanted if cache and (us := cache.get(key)) is not None}
    if len(known) < len(wanted):
        fresh = _measure(session, device, gpu, options or MeasureOptions(), progress)
        known = {key: fresh[key] for key in wanted}
        if cache:
            cache.put(known)
    return Costs(tuple(_cost(graph, task, known, device) for task in graph.tasks), device)


def _measure(
    session: ProfilingSession,
    device: str,
    gpu: bool,
    options: MeasureOptions,
    progress: Callable[[str, float], None] | None,
) -> dict[TimeKey, float]:
    graph = session.graph
    cpu_table = make_table(graph, single(graph, Place.CPU))
    gpu_table = _all_signal(make_table(graph, single(graph, Place.GPU)))
    both = gpu and bool(gpu_table.gpu)
    cpu_runs: list[RunTimes] = []
    gpu_runs: list[RunTimes] = []
    end = time.perf_counter() + options.cap_seconds
    for number in range(options.rounds):
        cpu_runs += _runs(session, cpu_table, options.reps)
        if both:
            gpu_runs += _runs(session, gpu_table, options.reps)
        if progress:
            progress("measuring tasks", (number + 1) / options.rounds)
        if time.perf_counter() > end:
            break
    samples = _by_key(graph, cpu_times(cpu_table, calm(cpu_runs)), CPU, device)
    samples |= _by_key(graph, gpu_times(gpu_table, calm(gpu_runs)), GPU, device)
    wanted = _keys(graph, device, both)
    for key in wanted.keys() - samples.keys():
        samples[key] = _alone(session, wanted[key], key.processor, options.alone_reps)
    return {key: median(values) for key, values in samples.items()}


def _runs(session: ProfilingSession, table: StepTable, reps: int) -> Sequence[RunTimes]:
    """Profile `table`; the first inference after the change warms the caches and is dropped."""
    session.set_table(table)
    return session.profile(reps + 1).runs[1:]


def _by_key(
    graph: TaskGraph, times: Mapping[int, list[float]], processor: str, device: str
) -> dict[TimeKey, list[float]]:
    samples: dict[TimeKey, list[float]] = defaultdict(list)
    for index, values in times.items():
        samples[_key(graph, graph.tasks[index], processor, device)] += values
    return samples


def _alone(session: ProfilingSession, index: int, processor: str, reps: int) -> list[float]:
    return list(session.time_task(index, processor, warmup=1, reps=reps))


def _all_signal(table: StepTable) -> StepTable:
    """Every GPU step publishes its end, so that the watcher can stamp it."""
    return replace(table, gpu=tuple(replace(step, signal=True) for step in table.gpu))


def _keys(graph: TaskGraph, device: str, gpu: bool) -> dict[TimeKey, int]:
    """The times that are wanted, each with a task that has it."""
    found: dict[TimeKey, int] = {}
    for index, task in enumerate(graph.tasks):
        found.setdefault(_key(graph, task, CPU, device), index)
        if gpu and graph.kernels[task.kernel].opencl:
            found.setdefault(_key(graph, task, GPU, device), index)
    return found


def _key(graph: TaskGraph, task: Task, processor: str, device: str) -> TimeKey:
    kernel = graph.kernels[task.kernel].key
    return TimeKey(kernel, task.rows.extent, task.channels.extent, processor, device)


def _cost(graph: TaskGraph, task: Task, known: Mapping[TimeKey, float], device: str) -> TaskCost:
    return TaskCost(
        cpu_us=known[_key(graph, task, CPU, device)],
        gpu_us=known.get(_key(graph, task, GPU, device)),
    )
