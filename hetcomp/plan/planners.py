"""Planners: everything on one processor, every task split by a fixed share, or by measured times.

All of them are pure: graph and costs in, a plan with a reason for every task out.
"""

from __future__ import annotations

from dataclasses import replace

from hetcomp.cost.costs import Costs, TaskCost
from hetcomp.cost.npu_cost import NpuCost
from hetcomp.plan.by_times import by_times
from hetcomp.plan.check import grid_of
from hetcomp.plan.cuts import cut_at, other_axis, split_axis
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place, Plan

__all__ = ["base_plans", "by_times", "fixed_split", "on_npu", "single"]


def single(
    graph: TaskGraph,
    place: Place,
    costs: Costs | None = None,
    why: str = "asked for the whole network",
) -> Plan:
    """Place every task on one processor.

    Parameters
    ----------
    graph
        The tasks.
    place
        `Place.CPU` or `Place.GPU`. With the GPU, tasks without an OpenCL kernel stay on the CPU.
    costs
        Measured times to note in the decisions, where known.
    why
        The reason of every decision that follows `place`.

    Returns
    -------
    Plan
        Named `cpu` or `gpu`.
    """
    if place not in (Place.CPU, Place.GPU):
        raise ValueError("single() takes Place.CPU or Place.GPU; see fixed_split() and on_npu()")
    decisions = []
    for index, task in enumerate(graph.tasks):
        kernel = graph.kernels[task.kernel]
        if place is Place.GPU and not kernel.opencl:
            where, reason = Place.CPU, f"cpu: no OpenCL kernel: {kernel.why_no_opencl}"
        else:
            where, reason = place, f"{place.value}: {why}"
        decisions.append(_decision(task, where, reason, _cost(costs, index)))
    return Plan(name=place.value, decisions=tuple(decisions))


def fixed_split(
    graph: TaskGraph,
    share: float = 0.5,
    axis: Axis | None = None,
    costs: Costs | None = None,
    why: str = "",
) -> Plan:
    """Split every task that can be split, with the same CPU share.

    Parameters
    ----------
    graph
        The tasks.
    share
        The CPU's part, 0 < share < 1; moved to the nearest cut that leaves both a tile.
    axis
        Axis to split along; None takes each task's preferred one. The other axis is taken where
        this one has no cut.
    costs
        Measured times to note in the decisions, where known.
    why
        The reason of every split; empty: asked for.

    Returns
    -------
    Plan
        Named `split`.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    why = why or f"asked for {round(100 * share)}%"
    decisions = tuple(
        _split(graph, task, share, axis, _cost(costs, index), why)
        for index, task in enumerate(graph.tasks)
    )
    return Plan(name="split", decisions=decisions)


def on_npu(
    graph: TaskGraph,
    why: str = "asked for the whole network",
    costs: Costs | None = None,
    npu: NpuCost | None = None,
) -> Plan:
    """Place every task on the NPU that it takes, the others on the CPU.

    Measured times are noted in the decisions, where known.

    Returns
    -------
    Plan
        Named `npu`.
    """
    decisions = []
    for index, task in enumerate(graph.tasks):
        place = Place.NPU if task.npu else Place.CPU
        reason = f"npu: {why}" if task.npu else f"cpu: not on the npu: {task.why_no_npu}"
        decision = _decision(task, place, reason, _cost(costs, index))
        decisions.append(replace(decision, npu_us=npu.task_us[index] if npu else None))
    return Plan(name="npu", decisions=tuple(decisions))


def base_plans(
    graph: TaskGraph, costs: Costs | None = None, why: str = "asked for the whole network"
) -> tuple[Plan, ...]:
    """`cpu`, `gpu` and `split` (every task in halves), as far as there are OpenCL kernels."""
    plans = [single(graph, Place.CPU, costs, why)]
    if any(kernel.opencl for kernel in graph.kernels):
        plans += [single(graph, Place.GPU, costs, why), fixed_split(graph, 0.5, None, costs, why)]
    return tuple(plans)


def _split(
    graph: TaskGraph,
    task: Task,
    share: float,
    axis: Axis | None,
    cost: TaskCost | None,
    why: str,
) -> Decision:
    kernel = graph.kernels[task.kernel]
    if not kernel.opencl:
        return _decision(task, Place.CPU, f"cpu: no OpenCL kernel: {kernel.why_no_opencl}", cost)
    wanted = axis or Axis(task.preferred_axis)
    found = split_axis(task, wanted)
    if found is None:
        reason = (
            f"cpu: nothing to cut, rows has {task.rows.extent} and channels "
            f"{task.channels.extent} tiles"
        )
        return _decision(task, Place.CPU, reason, cost)
    cut = cut_at(grid_of(task, found), share)
    percent = round(100.0 * cut / grid_of(task, found).extent)
    if found is other_axis(wanted):
        axis_why = f"{wanted.value} has no cut in {grid_of(task, wanted).extent} tiles"
    else:
        axis_why = task.axis_reason if axis is None else "axis asked for"
    reason = "; ".join(filter(None, (f"split {percent}% {found.value}: {why}", axis_why)))
    return _decision(task, Place.SPLIT, reason, cost, found, cut)


def _decision(
    task: Task,
    place: Place,
    reason: str,
    cost: TaskCost | None,
    axis: Axis = Axis.ROWS,
    cut: int = 0,
) -> Decision:
    return Decision(
        task=task.name,
        place=place,
        axis=axis,
        cut=cut,
        reason=reason,
        cpu_us=cost.cpu_us if cost else None,
        gpu_us=cost.gpu_us if cost else None,
    )


def _cost(costs: Costs | None, index: int) -> TaskCost | None:
    return costs.tasks[index] if costs else None
