"""What a plan is to achieve, and how finely it may place: options of the planner, checked here."""

from __future__ import annotations

from dataclasses import dataclass

from hetcomp.errors import InputError

__all__ = ["GRANULARITIES", "OBJECTIVES", "Goal"]

OBJECTIVES = ("latency", "throughput", "energy")
"""What is minimised."""

GRANULARITIES = ("operator", "chain", "subgraph", "model")
"""What is placed alike."""


@dataclass(frozen=True)
class Goal:
    """The goal of a plan.

    Attributes
    ----------
    objective
        `latency`: the time of one inference; `throughput`: the busy time of the busier processor,
        which sets the pace where requests follow each other in a pipeline; `energy`: watts times
        busy time, a proxy that leaves out memory and what an idle processor draws.
    granularity
        Every `operator` by itself, or alike all tasks of a `chain` without branches, of a
        `subgraph` between a fork and its join, or of the whole `model`.
    gpu_cap
        Largest part of an inference's time in which the GPU may be busy, 1 for no limit; for
        `throughput`, of the time from one result of the pipeline to the next.
    cpu_watts, gpu_watts
        Power of either processor at work, for `energy`.

    Raises
    ------
    InputError
        A value is out of range.

    Examples
    --------
    >>> Goal(objective="energy", cpu_watts=4.0, gpu_watts=2.5).text
    'energy at cpu 4 W, gpu 2.5 W'
    """

    objective: str = "latency"
    granularity: str = "operator"
    gpu_cap: float = 1.0
    cpu_watts: float = 1.0
    gpu_watts: float = 1.0

    def __post_init__(self) -> None:
        _check_one_of("objective", self.objective, OBJECTIVES)
        _check_one_of("granularity", self.granularity, GRANULARITIES)
        if not 0.0 <= self.gpu_cap <= 1.0:
            raise InputError(f"gpu_cap must be from 0 to 1, got {self.gpu_cap:g}")
        for name, watts in (("cpu", self.cpu_watts), ("gpu", self.gpu_watts)):
            if not 0.0 < watts < float("inf"):
                raise InputError(f"watts of the {name} must be above 0, got {watts:g}")

    @property
    def is_fastest(self) -> bool:
        """Whether the fastest plan is the best, so that measuring may choose it."""
        return self.objective == "latency" and self.gpu_cap == 1.0

    @property
    def text(self) -> str:
        """The goal in a few words; empty for the least latency of single operators."""
        parts = []
        if self.objective == "energy":
            parts.append(f"energy at cpu {self.cpu_watts:g} W, gpu {self.gpu_watts:g} W")
        elif self.objective != "latency":
            parts.append(self.objective)
        if self.gpu_cap < 1.0:
            parts.append(f"gpu busy up to {100 * self.gpu_cap:g}%")
        if self.granularity != "operator":
            parts.append(f"every {self.granularity} alike")
        return ", ".join(parts)


def _check_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, got '{value}'")
