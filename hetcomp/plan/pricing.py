"""The price of one task under a placement, given where its inputs were made.

A half's time is its share of the measured whole, plus the lines it must take over from the other
processor's cache. Halos of convolutions and contention for memory are not in the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hetcomp.cost.costs import Costs, SyncCost
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.transfer import Crossing, Share, Transfers

__all__ = ["Price", "Pricer"]


@dataclass(frozen=True)
class Price:
    """Predicted time of a task in microseconds: either half without its transfer, and the rest."""

    cpu_us: float
    gpu_us: float
    cpu_transfer_us: float
    gpu_transfer_us: float
    sync_us: float

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


class Pricer:
    """Prices tasks of one graph with one set of costs."""

    def __init__(self, graph: TaskGraph, costs: Costs, sync: SyncCost) -> None:
        self.costs = costs
        self.sync = sync
        self._transfers = Transfers(graph)

    def alone(self, index: int, share: Share) -> Price:
        """Price of task `index` as if its inputs were where they are needed."""
        cost = self.costs.tasks[index]
        gpu_us = 0.0
        if share.cpu < 1.0 and cost.gpu_us is not None:
            fixed = min(self.sync.gpu_launch_us, cost.gpu_us)
            gpu_us = fixed + (cost.gpu_us - fixed) * (1.0 - share.cpu)
        sync_us = self.sync.split_us if share.split else 0.0
        return Price(cost.cpu_us * share.cpu, gpu_us, 0.0, 0.0, sync_us)

    def price(self, index: int, share: Share, made_by: Callable[[int], Share]) -> Price:
        """Price of task `index` where earlier task i was placed as `made_by(i)`."""
        alone = self.alone(index, share)
        crossing = self._transfers.crossing(index, share, made_by)
        sync_us = alone.sync_us
        if crossing != Crossing(0.0, 0.0) and not share.split:
            sync_us += self.sync.handover_us
        return Price(
            alone.cpu_us,
            alone.gpu_us,
            self.sync.transfer_us(crossing.to_cpu_bytes),
            self.sync.transfer_us(crossing.to_gpu_bytes),
            sync_us,
        )
