"""What is known of a graph's times on one device: measured when compiling, or from a profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetcomp.cost.costs import Costs, Range, SyncCost, TaskCost, usual_sync
from hetcomp.cost.npu_cost import NpuCost
from hetcomp.cost.predictor import Predictor
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.times import Times
from hetcomp.errors import ProfileError
from hetcomp.plan.contention import Contention, contention_of
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Plan
from hetcomp.plan.simulate import Simulator, measured_times
from hetcomp.plan.work import predicted_times, whole_part, work_of

__all__ = [
    "Forecast",
    "measured_forecast",
    "noted_forecast",
    "profile_forecast",
    "ranges_of",
    "tier_of",
]


@dataclass(frozen=True)
class Forecast:
    """What plans of a graph are made from and predicted with.

    Attributes
    ----------
    costs
        Times of whole tasks; the GPU's contain the launch, as where they are measured.
    times
        Times of any part.
    sync, contention
        What working together costs, and how much it slows either processor; None: not at all.
    npu
        Times of the NPU; None: there is none.
    """

    costs: Costs
    times: Times
    sync: SyncCost
    contention: Contention | None = None
    npu: NpuCost | None = None

    def simulator(self, graph: TaskGraph) -> Simulator:
        """For step tables of the same graph."""
        return Simulator(graph, self.times, self.sync, self.contention, self.npu)


def measured_forecast(
    graph: TaskGraph, costs: Costs, tier: str = "svm-ahead", memory: str = "fine"
) -> Forecast:
    """By measured times, with the usual costs of working together, see `usual_sync`."""
    sync = usual_sync(tier, memory)
    return Forecast(costs, measured_times(graph, costs, sync), sync)


def noted_forecast(graph: TaskGraph, plans: Sequence[Plan]) -> Forecast | None:
    """By the times of whole tasks that were measured when the model was compiled.

    They stand in the decisions of the first of `plans` that has them all; None where none has.
    """
    for plan in plans:
        by_task = {decision.task: decision for decision in plan.decisions}
        found = [by_task[task.name] for task in graph.tasks]
        costs = [TaskCost(d.cpu_us, d.gpu_us) for d in found if d.cpu_us is not None]
        if len(costs) == len(found):
            return measured_forecast(graph, Costs(tuple(costs)))
    return None


def profile_forecast(graph: TaskGraph, profile: DeviceProfile, tier: str | None = None) -> Forecast:
    """By the models of a device profile, which may be another device's.

    Parameters
    ----------
    graph, profile
        Of what, and by what.
    tier
        How its processors wait for each other; None: the fastest way that was measured.

    Raises
    ------
    ProfileError
        The profile has no costs of `tier`.
    """
    sync = profile.sync[tier_of(profile, tier)]
    predictor = Predictor.of_profile(profile)
    costs = Costs(_predicted(graph, predictor, sync.gpu_launch_us), profile.device)
    times = predicted_times(graph, predictor)
    return Forecast(costs, times, sync, contention_of(graph, profile))


def tier_of(profile: DeviceProfile, tier: str | None = None) -> str:
    """`tier`, or the fastest way of waiting for each other that `profile` has costs of.

    Raises
    ------
    ProfileError
        It has no costs of `tier`.
    """
    tier = tier or next(iter(profile.sync), "svm-ahead")
    if tier in profile.sync:
        return tier
    known = ", ".join(profile.sync) or "none"
    raise ProfileError(
        f"the profile of {profile.device} has no costs of tier '{tier}' but of: {known}; "
        "hetcomp profile measures all tiers that a device has"
    )


def ranges_of(graph: TaskGraph, costs: Costs) -> dict[str, dict[str, tuple[float, float]]]:
    """Between which times four of five lie, by task and processor, where times were predicted."""
    return {
        task.name: {
            name: (found.low_us, found.high_us)
            for name, found in (("cpu", cost.cpu_range), ("gpu", cost.gpu_range))
            if found
        }
        for task, cost in zip(graph.tasks, costs.tasks, strict=True)
        if cost.cpu_range or cost.gpu_range
    }


def _predicted(graph: TaskGraph, predictor: Predictor, launch_us: float) -> tuple[TaskCost, ...]:
    """Whole tasks, on the GPU with their launch."""
    tasks = range(len(graph.tasks))
    parts = [whole_part(graph, task, "cpu") for task in tasks]
    parts += [
        whole_part(graph, task, "gpu")
        for task in tasks
        if graph.kernels[graph.tasks[task].kernel].opencl
    ]
    found = predictor.predict([work_of(graph, part) for part in parts])
    times: dict[tuple[str, int], float] = {}
    ranges: dict[tuple[str, int], Range] = {}
    for place, part in enumerate(parts):
        key, own_us = (part.processor, part.task), launch_us if part.processor == "gpu" else 0.0
        times[key] = float(found.times_us[place]) + own_us
        ranges[key] = Range(
            low_us=float(found.low_us[place]) + own_us,
            high_us=float(found.high_us[place]) + own_us,
            estimated=not found.sampled[place],
        )
    return tuple(
        TaskCost(times["cpu", i], times.get(("gpu", i)), ranges["cpu", i], ranges.get(("gpu", i)))
        for i in tasks
    )
