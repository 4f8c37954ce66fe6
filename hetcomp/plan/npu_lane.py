"""The NPU's side of a predicted inference: its steps, and the CPU's two steps for each."""

from __future__ import annotations

from hetcomp.cost.costs import SyncCost
from hetcomp.cost.npu_cost import NpuCost
from hetcomp.errors import InternalError
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.replay import Lane
from hetcomp.plan.table import NpuStep, Step, StepTable

__all__ = ["npu_lane", "npu_step_us"]


def npu_lane(graph: TaskGraph, table: StepTable, npu: NpuCost | None) -> Lane:
    """The regions of `table` in the order in which they are handed over.

    Raises
    ------
    InternalError
        There are regions, but no times of them.
    """
    if not table.npu:
        return Lane([], [], [])
    if npu is None:
        raise InternalError(f"step table '{table.name}': no times of the NPU are known")
    handed = {step.npu: place for place, step in enumerate(table.cpu, start=1) if step.npu > 0}
    return Lane(
        times_us=[npu.way.latency_us + _region_us(graph, step, npu) for step in table.npu],
        waits=[handed[number] for number in range(1, len(table.npu) + 1)],
        factors=[1.0] * len(table.npu),
    )


def npu_step_us(
    graph: TaskGraph, table: StepTable, step: Step, npu: NpuCost, sync: SyncCost
) -> float:
    """The CPU's time to hand a region over, or to take its outputs back."""
    region = table.npu[abs(step.npu) - 1]
    part = _part(graph, region)
    if step.npu > 0:
        tensors, own_us = region.inputs, npu.way.submit_us
        part = 1.0 if region.is_part and _all_rows(graph, region) else part
    else:
        tensors, own_us = region.outputs, npu.way.collect_us
    size_bytes = part * sum(graph.tensors[tensor].size_bytes for tensor in tensors)
    return own_us + npu.way.copy_us(size_bytes) + (sync.handover_us if step.wait else 0.0)


def _region_us(graph: TaskGraph, step: NpuStep, npu: NpuCost) -> float:
    times = [npu.task_us[task] for task in step.tasks]
    known = [time_us for time_us in times if time_us is not None]
    if len(known) < len(times):
        raise InternalError("a task is on the NPU whose time there is not known")
    return sum(known) * _part(graph, step)


def _part(graph: TaskGraph, step: NpuStep) -> float:
    """How much of its tasks a region is."""
    if not step.is_part:
        return 1.0
    task = graph.tasks[step.tasks[0]]
    rows = (step.row_end - step.row_begin) / task.rows.extent
    return rows * (step.channel_end - step.channel_begin) / task.channels.extent


def _all_rows(graph: TaskGraph, step: NpuStep) -> bool:
    """Whether a part is one of channels, which needs all that the task reads."""
    return step.row_end - step.row_begin == graph.tasks[step.tasks[0]].rows.extent
