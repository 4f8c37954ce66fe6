"""What an NPU's driver is predicted to take for a graph, by a device profile."""

from __future__ import annotations

from hetcomp.cost.npu_cost import NpuCost
from hetcomp.cost.npu_model import NpuModel, NpuWork
from hetcomp.plan.graph import Task, TaskGraph

__all__ = ["npu_work", "predicted_npu"]


def npu_work(task: Task) -> NpuWork:
    """The features of a task."""
    return NpuWork(task.flops / 2e6, (task.weight_bytes + task.activation_bytes) / 1024.0)


def predicted_npu(graph: TaskGraph, driver: str, model: NpuModel) -> NpuCost:
    """Times of all tasks that the NPU takes."""
    times = (model.time_us(npu_work(task)) if task.npu else None for task in graph.tasks)
    return NpuCost(driver, tuple(times), model.way)
