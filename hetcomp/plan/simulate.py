"""Predict how a step table runs: replay it on one clock a processor with the times of its parts.

Waits follow the table exactly, so independent branches overlap where their memory does not clash.
While both processors are at work each goes slower by its factor of contention. A step's own costs
are its part's time, what it takes over from the other cache, the launch on the GPU, and where it
waits for the other processor the price of that. Tickets are taken one by one, as they are when the
table runs. A region takes what its tasks take on the NPU, and the CPU the copies there and back.
Copies of the model's inputs and outputs are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile

from hetcomp.cost.costs import Costs, SyncCost
from hetcomp.cost.npu_cost import NpuCost
from hetcomp.cost.times import MeasuredTimes, Times, times_of
from hetcomp.cost.work import Part
from hetcomp.plan.check import grid_of
from hetcomp.plan.contention import Contention
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.npu_lane import npu_lane, npu_step_us
from hetcomp.plan.plan import Axis
from hetcomp.plan.replay import Counter, Lane, Span, Turns, replay
from hetcomp.plan.table import Step, StepTable
from hetcomp.plan.transfer import Share, Transfers, output_rows

__all__ = ["Simulation", "Simulator", "Timeline", "measured_times", "step_part", "with_times"]

Counters = dict[int, Counter]
"""Tickets by task."""


@dataclass(frozen=True)
class Timeline:
    """What one processor does: a span per step, in the order of the table."""

    tasks: tuple[int, ...]
    spans: tuple[Span, ...]

    @cached_property
    def busy_us(self) -> float:
        """Time in steps."""
        return sum(span.end_us - span.start_us for span in self.spans)

    @cached_property
    def wait_us(self) -> float:
        """Time between steps, waiting for the other processor."""
        return sum(span.wait_us for span in self.spans)


@dataclass(frozen=True)
class Simulation:
    """A predicted inference.

    Attributes
    ----------
    plan
        Name of the step table.
    makespan_us
        From the first enqueue to the end of the last step, in microseconds.
    cpu, gpu, npu
        What each processor does when. The NPU's steps carry their first task.
    """

    plan: str
    makespan_us: float
    cpu: Timeline
    gpu: Timeline
    npu: Timeline = field(default_factory=lambda: Timeline((), ()))


class Simulator:
    """Replays step tables of one graph.

    Parameters
    ----------
    graph
        The tasks.
    times
        Times of parts of them; asked once for every part.
    sync
        What working together costs.
    contention
        Factors on times while both processors work; None: none.
    npu
        Needed where tables have regions of the NPU.

    Attributes
    ----------
    transfers
        What crosses between tasks.
    known_us
        The times of all parts that were asked so far.
    """

    def __init__(
        self,
        graph: TaskGraph,
        times: Times,
        sync: SyncCost,
        contention: Contention | None = None,
        npu: NpuCost | None = None,
    ) -> None:
        self.graph, self.times, self.sync, self.npu = graph, times, sync, npu
        self.contention = contention or Contention.none(len(graph.tasks))
        self.transfers = Transfers(graph)
        self.known_us: dict[Part, float] = {}

    def knows(self, table: StepTable) -> bool:
        """Whether there are times of all its steps."""
        self._ask(table)
        kernels = all(math.isfinite(self.known_us[part]) for part in _parts(table))
        npu = not table.npu or (self.npu is not None and self.npu.knows(table.npu_tasks))
        return kernels and npu

    def run(self, table: StepTable) -> Simulation:
        """Predict one inference by `table`.

        Raises
        ------
        InternalError
            The processors wait for each other for ever, or the NPU's times are not known.
        """
        self._ask(table)
        shares = self._shares(table)
        counters: Counters = {}
        npu = npu_lane(self.graph, table, self.npu)
        cpu = self._lane("cpu", table, shares, counters)
        gpu = self._lane("gpu", table, shares, counters)
        if table.gpu:
            # The GPU is held until these are enqueued.
            cpu.start_us = self.sync.enqueued_us(self._enqueued_first(table))
            gpu.start_us = max(self.sync.first_enqueue_us + self.sync.wake_us, cpu.start_us)
        spans = replay(cpu, gpu, npu, table.name)
        ends = [span.end_us for lane in spans for span in lane]
        lines = [
            Timeline(tasks, lane)
            for tasks, lane in zip(
                (
                    tuple(step.task for step in table.cpu),
                    tuple(step.task for step in table.gpu),
                    tuple(step.tasks[0] for step in table.npu),
                ),
                spans,
                strict=True,
            )
        ]
        return Simulation(table.name, max(ends, default=0.0), *lines)

    def _enqueued_first(self, table: StepTable) -> int:
        """GPU steps that are enqueued before the CPU begins."""
        if self.sync.ahead:
            return len(table.gpu)
        return sum(1 for _ in takewhile(lambda step: step.wait == 0, table.gpu))

    def _ask(self, table: StepTable) -> None:
        """Times of parts not known yet, all in one batch."""
        fresh = [part for part in _parts(table) if part not in self.known_us]
        self.known_us.update(times_of(self.times, fresh))

    def _shares(self, table: StepTable) -> list[Share]:
        """The CPU's share of every task, read from the table."""
        shares = [Share(1.0)] * len(self.graph.tasks)
        for step in table.gpu:
            shares[step.task] = Share(0.0)
        on_gpu = {step.task for step in table.gpu}
        for step in table.cpu:
            if step.npu:
                continue
            if step.ticket:
                shares[step.task] = _ticket_share(self.graph.tasks[step.task], step)
            elif step.task in on_gpu:
                shares[step.task] = _split_share(self.graph.tasks[step.task], step)
        return shares

    def _turns(self, processor: str, steps: Sequence[Step], counters: Counters) -> dict[int, Turns]:
        own_us = self.sync.cpu_ticket_us if processor == "cpu" else self.sync.gpu_ticket_us
        turns = {}
        for number, step in enumerate(steps):
            if step.ticket:
                part = step_part(processor, step)
                count = _tickets(step)
                share = _tiles(step) / part.tiles / count
                ticket_us = self.known_us[part] * share + own_us
                counter = counters.setdefault(step.task, Counter(count))
                turns[number] = Turns(counter, ticket_us, step.leave)
        return turns

    def _lane(
        self, processor: str, table: StepTable, shares: Sequence[Share], counters: Counters
    ) -> Lane:
        steps = table.cpu if processor == "cpu" else table.gpu
        factors = getattr(self.contention, processor)
        return Lane(
            times_us=[
                npu_step_us(self.graph, table, step, self.npu, self.sync)
                if step.npu and self.npu
                else self._step_us(processor, step, shares)
                for step in steps
            ],
            waits=[step.wait for step in steps],
            factors=[factors[step.task] for step in steps],
            turns=self._turns(processor, steps, counters),
            npu_waits={i: -step.npu for i, step in enumerate(steps) if step.npu < 0},
        )

    def _step_us(self, processor: str, step: Step, shares: Sequence[Share]) -> float:
        share = shares[step.task]
        on_cpu = processor == "cpu"
        work_us = 0.0 if step.ticket else self.known_us[step_part(processor, step)]
        time_us = work_us + self._taking_us(step.task, shares, on_cpu=on_cpu)
        if share.axis is Axis.CHANNELS:
            time_us += self.sync.border_us(output_rows(self.graph, self.graph.tasks[step.task]))
        if not on_cpu:
            time_us += self.sync.gpu_launch_us
        if step.wait:
            time_us += self.sync.split_us if share.split else self.sync.handover_us
        return time_us

    def _taking_us(self, task: int, shares: Sequence[Share], *, on_cpu: bool) -> float:
        """Time to take over what the other processor made of a task's inputs."""
        found = self.transfers.crossings(task, shares[task], shares.__getitem__)
        if on_cpu:
            return float(self.sync.to_cpu_us([item.to_cpu_bytes for item in found]).sum())
        return float(self.sync.to_gpu_us([item.to_gpu_bytes for item in found]).sum())


def measured_times(graph: TaskGraph, costs: Costs, sync: SyncCost) -> MeasuredTimes:
    """Times of parts from measured times of whole tasks, in which GPU launches are contained."""
    grids = [(task.rows.extent, task.channels.extent) for task in graph.tasks]
    return MeasuredTimes(costs, grids, launch_us=sync.gpu_launch_us)


def with_times(table: StepTable, simulation: Simulation) -> StepTable:
    """`table` with the time of every step that the simulation of it predicts."""

    def timed(steps: Sequence[Step], line: Timeline) -> tuple[Step, ...]:
        return tuple(
            replace(step, predicted_us=round(span.end_us - span.start_us, 3))
            for step, span in zip(steps, line.spans, strict=True)
        )

    return replace(
        table, cpu=timed(table.cpu, simulation.cpu), gpu=timed(table.gpu, simulation.gpu)
    )


def _parts(table: StepTable) -> list[Part]:
    """What the kernels of both processors compute."""
    cpu = [step_part("cpu", step) for step in table.cpu if not step.npu]
    return cpu + [step_part("gpu", step) for step in table.gpu]


def step_part(processor: str, step: Step) -> Part:
    """The part of a task that a step computes; with tickets the one up to, or from, their cut."""
    rows, channels = (step.row_begin, step.row_end), (step.channel_begin, step.channel_end)
    if step.ticket > 0:
        rows = _side(processor, rows, step.cut)
    elif step.ticket < 0:
        channels = _side(processor, channels, step.cut)
    return Part(step.task, processor, *rows, *channels)


def _side(processor: str, tiles: tuple[int, int], cut: int) -> tuple[int, int]:
    """The part of `tiles` on the processor's side of a cut; all of them where it is not known."""
    begin, end = tiles
    if not begin < cut < end:
        return tiles
    return (begin, cut) if processor == "cpu" else (cut, end)


def _tiles(step: Step) -> int:
    return (step.row_end - step.row_begin) * (step.channel_end - step.channel_begin)


def _tickets(step: Step) -> int:
    """How many tickets a step has."""
    rows, channels = step.row_end - step.row_begin, step.channel_end - step.channel_begin
    return max(1, (rows if step.ticket > 0 else channels) // abs(step.ticket))


def _ticket_share(task: Task, step: Step) -> Share:
    """The share of the CPU where both meet as expected."""
    axis = Axis.ROWS if step.ticket > 0 else Axis.CHANNELS
    extent = grid_of(task, axis).extent
    return Share(step.cut / extent, axis, abs(step.ticket) / extent)


def _split_share(task: Task, step: Step) -> Share:
    """The share of a split whose CPU half is `step`."""
    rows = (step.row_end - step.row_begin) / task.rows.extent
    channels = (step.channel_end - step.channel_begin) / task.channels.extent
    return Share(rows, Axis.ROWS) if rows < 1.0 else Share(channels, Axis.CHANNELS)
