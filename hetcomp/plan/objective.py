"""What a planner minimises."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LATENCY", "THROUGHPUT", "Objective", "energy"]


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
