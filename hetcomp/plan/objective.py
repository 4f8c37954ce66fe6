"""What a planner minimises."""

from __future__ import annotations

from dataclasses import dataclass

from hetcomp.goal import Goal
from hetcomp.plan.simulate import Simulation

__all__ = ["LATENCY", "THROUGHPUT", "Objective", "achieved", "energy", "keeps_cap", "objective_of"]


@dataclass(frozen=True)
class Objective:
    """`span` times the time of an inference plus what either processor's work costs.

    Attributes
    ----------
    span
        Weight of the time from the start to the end of both processors; above 0.
    cpu, gpu
        Weights of the time in which that processor is busy.
    waits
        Whether a processor waits for what the other one makes. Requests in a pipeline need not:
        while one waits the next one runs, and the busier processor sets the pace.
    """

    span: float = 1.0
    cpu: float = 0.0
    gpu: float = 0.0
    waits: bool = True


LATENCY = Objective()
THROUGHPUT = Objective(waits=False)


def energy(cpu_watts: float, gpu_watts: float) -> Objective:
    """Watts times busy time; among equals the faster."""
    return Objective(1e-3 * min(cpu_watts, gpu_watts), cpu_watts, gpu_watts)


def objective_of(goal: Goal) -> Objective:
    """What to minimise for `goal`."""
    if goal.objective == "energy":
        return energy(goal.cpu_watts, goal.gpu_watts)
    return LATENCY if goal.objective == "latency" else THROUGHPUT


def achieved(goal: Goal, simulation: Simulation) -> float:
    """The figure that `goal` wants least: microseconds, or watts times microseconds."""
    cpu_us, gpu_us = simulation.cpu.busy_us, simulation.gpu.busy_us
    if goal.objective == "energy":
        return goal.cpu_watts * cpu_us + goal.gpu_watts * gpu_us
    return simulation.makespan_us if goal.objective == "latency" else max(cpu_us, gpu_us)


def keeps_cap(goal: Goal, simulation: Simulation) -> bool:
    """Whether the GPU is busy no longer than `goal` allows.

    Of an inference's time; in a pipeline, where the next one begins before, of its period.
    """
    pipelined = goal.objective == "throughput"
    time_us = achieved(goal, simulation) if pipelined else simulation.makespan_us
    return simulation.gpu.busy_us <= goal.gpu_cap * time_us
