"""The price of one task under a placement, given where its inputs were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetcomp.plan.problem import Options, Problem

__all__ = ["Price", "alone", "price"]


@dataclass(frozen=True)
class Price:
    """Predicted time of a task in microseconds: either half without its transfer, and the rest."""

    cpu_us: float
    gpu_us: float
    cpu_transfer_us: float = 0.0
    gpu_transfer_us: float = 0.0
    sync_us: float = 0.0

    @property
    def work_us(self) -> float:
        """The slower half, transfer included."""
        return max(self.cpu_us + self.cpu_transfer_us, self.gpu_us + self.gpu_transfer_us)

    @property
    def transfer_us(self) -> float:
        """What transfer adds to the slower half."""
        return self.work_us - max(self.cpu_us, self.gpu_us)

    @property
    def total_us(self) -> float:
        """Work and synchronisation."""
        return self.work_us + self.sync_us


def alone(options: Options, pick: int) -> Price:
    """Price of a task under its placement `pick`, as if its inputs were where they are needed."""
    split = options.on_cpu[pick] and options.on_gpu[pick]
    sync_us = float(options.sync_us[pick]) if split else 0.0
    return Price(float(options.cpu_us[pick]), float(options.gpu_us[pick]), sync_us=sync_us)


def price(problem: Problem, index: int, picks: Sequence[int]) -> Price:
    """Price of task `index` where all tasks up to it are placed as `picks` says."""
    options, pick = problem.tasks[index], picks[index]
    cpu_us = gpu_us = 0.0
    waits = False
    for edge in options.edges:
        at = picks[edge.maker], pick
        cpu_us += float(edge.cpu_us[at])
        gpu_us += float(edge.gpu_us[at])
        waits = waits or bool(edge.cpu_waits[at] or edge.gpu_waits[at])
    own = alone(options, pick)
    sync_us = float(options.sync_us[pick]) if waits else own.sync_us
    to_cpu_us = cpu_us if options.on_cpu[pick] else 0.0
    to_gpu_us = gpu_us if options.on_gpu[pick] else 0.0
    return Price(own.cpu_us, own.gpu_us, to_cpu_us, to_gpu_us, sync_us)
