"""How much slower a task runs while the other processor works, by what bounds it."""

from __future__ import annotations

from dataclasses import dataclass

from hetcomp.cost.profile import DeviceProfile
from hetcomp.plan.graph import Task, TaskGraph

__all__ = ["Contention", "contention_of"]


@dataclass(frozen=True)
class Contention:
    """Factors on the time of every task of a graph while both processors work."""

    cpu: tuple[float, ...]
    gpu: tuple[float, ...]

    @staticmethod
    def none(tasks: int) -> Contention:
        """Processors that do not disturb each other."""
        return Contention((1.0,) * tasks, (1.0,) * tasks)


def contention_of(graph: TaskGraph, profile: DeviceProfile) -> Contention:
    """The factors that `profile` measured, for kernels bound by memory or by arithmetic.

    A task is bound by memory where its bytes take longer than its operations at the profile's
    peaks; a factor that was not measured is 1.
    """
    return Contention(
        tuple(_factor(task, "cpu", profile) for task in graph.tasks),
        tuple(_factor(task, "gpu", profile) for task in graph.tasks),
    )


def _factor(task: Task, processor: str, profile: DeviceProfile) -> float:
    return profile.slow_down.get(f"{processor}.{_bound(task, processor, profile)}", 1.0)


def _bound(task: Task, processor: str, profile: DeviceProfile) -> str:
    flops_per_us = profile.limits.get(f"{processor}.flops_per_us")
    bytes_per_us = profile.limits.get(f"{processor}.bytes_per_us")
    if not flops_per_us or not bytes_per_us:
        return "compute"
    moved_us = (task.weight_bytes + task.activation_bytes) / bytes_per_us
    return "memory" if moved_us > task.flops / flops_per_us else "compute"
