"""The placements of a task that a planner considers: one processor alone, and cuts.

Cuts lie round the share that balances both processors, round the share that would balance the whole
network (so that neighbours can agree on one), and between heads; along every axis that has tiles to
cut, finer along the one that the schedule prefers. Where tickets are wanted, those of the best size
along either axis too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.cost.npu_cost import NpuCost
from hetcomp.cost.work import Part
from hetcomp.plan.check import can_share_with_npu, grid_of
from hetcomp.plan.cuts import cut_at, last_cut, near_cuts, other_axis
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Mode, Place
from hetcomp.plan.tickets import Rates, can_take_tickets, tickets_for
from hetcomp.plan.transfer import Share, share_of

__all__ = ["Choice", "candidates", "parts_of"]

_COARSE = (-0.125, 0.0, 0.125)
"""Shares tried round the balanced one along the axis that is not preferred, and with the NPU."""


@dataclass(frozen=True)
class Choice:
    """A placement of one task."""

    decision: Decision
    share: Share


def candidates(
    graph: TaskGraph, costs: Costs, sync: SyncCost | None = None, npu: NpuCost | None = None
) -> tuple[tuple[Choice, ...], ...]:
    """Placements of every task of `graph`; the CPU alone is always the first.

    Tickets are among them where `sync` says what they cost, and the NPU where `npu` says that.
    """
    common = _balanced(
        sum(cost.cpu_us for cost in costs.tasks),
        sum(cost.cpu_us if cost.gpu_us is None else cost.gpu_us for cost in costs.tasks),
    )
    return tuple(
        (
            *_of_task(graph, task, cost, common),
            *_by_tickets(graph, task, cost, sync),
            *_on_npu(graph, index, cost, npu),
        )
        for index, (task, cost) in enumerate(zip(graph.tasks, costs.tasks, strict=True))
    )


def parts_of(index: int, task: Task, decision: Decision) -> tuple[Part | None, Part | None]:
    """The parts of task `index` that the kernels of CPU and GPU run under `decision`."""
    rows, channels = task.rows.extent, task.channels.extent
    cpu, gpu = (Part(index, side, 0, rows, 0, channels) for side in ("cpu", "gpu"))
    if decision.place is Place.CPU:
        return cpu, None
    if decision.place is Place.NPU:
        return None, None
    if decision.place is Place.GPU:
        return None, gpu
    cut = decision.cut
    if decision.axis is Axis.ROWS:
        halves = replace(cpu, row_end=cut), replace(gpu, row_begin=cut)
    else:
        halves = replace(cpu, channel_end=cut), replace(gpu, channel_begin=cut)
    if decision.shared_with_npu:
        return halves[0], None
    extent = grid_of(task, decision.axis).extent
    return (halves[0] if cut > 0 else None), (halves[1] if cut < extent else None)


def _of_task(graph: TaskGraph, task: Task, cost: TaskCost, common: float) -> Sequence[Choice]:
    decision = Decision(task.name, Place.CPU, cpu_us=cost.cpu_us, gpu_us=cost.gpu_us)
    found = [Choice(decision, Share(1.0))]
    if cost.gpu_us is None or not graph.kernels[task.kernel].opencl:
        return found
    found.append(Choice(replace(decision, place=Place.GPU), Share(0.0)))
    preferred = Axis(task.preferred_axis)
    balanced = _balanced(cost.cpu_us, cost.gpu_us)
    for axis in (preferred, other_axis(preferred)):
        grid = grid_of(task, axis)
        if last_cut(grid) == 0:
            continue
        cuts = {cut_at(grid, common)}
        if axis is preferred:
            cuts |= set(near_cuts(task, axis, balanced))
        else:
            cuts |= {cut_at(grid, balanced + step) for step in _COARSE}
        for cut in sorted(cuts):
            split = replace(decision, place=Place.SPLIT, axis=axis, cut=cut)
            found.append(Choice(split, share_of(task, split)))
    return found


def _by_tickets(
    graph: TaskGraph, task: Task, cost: TaskCost, sync: SyncCost | None
) -> Sequence[Choice]:
    kernel = graph.kernels[task.kernel]
    if sync is None or not kernel.opencl or not cost.gpu_us or not cost.cpu_us:
        return ()
    found = []
    for axis in Axis:
        if not can_take_tickets(graph, task, axis):
            continue
        grid = grid_of(task, axis)
        rates = Rates.of(cost.cpu_us / grid.extent, cost.gpu_us / grid.extent, sync)
        tickets = tickets_for(grid, rates)
        decision = Decision(
            task.name,
            Place.SPLIT,
            axis,
            tickets.cut,
            Mode.TICKETS,
            tickets.size,
            tickets.cpu_leaves,
            tickets.gpu_leaves,
            cpu_us=cost.cpu_us,
            gpu_us=cost.gpu_us,
        )
        found.append(Choice(decision, share_of(task, decision)))
    return found


def _on_npu(graph: TaskGraph, index: int, cost: TaskCost, npu: NpuCost | None) -> Sequence[Choice]:
    """The NPU alone, and cuts between CPU and NPU."""
    task, npu_us = graph.tasks[index], None if npu is None else npu.task_us[index]
    if npu is None or npu_us is None:
        return ()
    decision = Decision(task.name, Place.NPU, cpu_us=cost.cpu_us, gpu_us=cost.gpu_us, npu_us=npu_us)
    found = [Choice(decision, Share(1.0))]
    balanced = _balanced(cost.cpu_us, npu_us)
    for axis in Axis if npu.shares else ():
        if not can_share_with_npu(graph, task, axis):
            continue
        grid = grid_of(task, axis)
        shared = replace(decision, place=Place.SPLIT, partner=Place.NPU, axis=axis)
        cuts = sorted({cut_at(grid, balanced + step) for step in _COARSE})
        found += [Choice(replace(shared, cut=cut), Share(1.0)) for cut in cuts]
    return found


def _balanced(cpu_us: float, gpu_us: float) -> float:
    """The CPU's share with which both take equally long."""
    both = cpu_us + gpu_us
    return gpu_us / both if both > 0.0 else 0.5
