"""Tickets of a task: how many tiles each has, what they cost, and who leaves the last ones.

Both processors take tiles from one counter until none is left, so that they end together whatever
was predicted of them. The price is what every ticket takes, the counter that both write and one
more call of the kernel, and that one of them waits for the other's last ticket. Small tickets cost
the first, large ones the second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hetcomp.cost.costs import SyncCost
from hetcomp.plan.check import grid_of
from hetcomp.plan.cuts import cut_at
from hetcomp.plan.graph import Grid, Task, TaskGraph
from hetcomp.plan.plan import Axis

__all__ = ["Rates", "Tickets", "can_take_tickets", "tickets_for"]

_FEWEST = 4
"""Tickets of a task; with fewer they even nothing out that a cut would not."""
_LEAST_US = 1e-9
"""Tiles may be predicted to take no time, where a measured one is lost in the launch's."""
_WAIT = 1 / 3
"""Of the shorter ticket, by how much both end later than if they ended together. Drawn at random:
a quarter where both are as fast, 0.43 where one is five times slower and leaves the last ones to
the other one; where it would not, 1.8."""


@dataclass(frozen=True)
class Rates:
    """What one task's tiles along an axis cost, in microseconds.

    Attributes
    ----------
    cpu_us, gpu_us
        A tile.
    cpu_ticket_us, gpu_ticket_us
        Taking a ticket.
    """

    cpu_us: float
    gpu_us: float
    cpu_ticket_us: float
    gpu_ticket_us: float

    @staticmethod
    def of(cpu_us: float, gpu_us: float, sync: SyncCost) -> Rates:
        """With the tickets of a device."""
        return Rates(cpu_us, gpu_us, sync.cpu_ticket_us, sync.gpu_ticket_us)

    def together_us(self, tiles: float) -> float:
        """Both on `tiles` tiles, if tickets cost nothing and both could end together."""
        return tiles * float(_both_us(self.cpu_us, self.gpu_us))

    def by_tickets_us(self, tiles: int, size: float | np.ndarray) -> float | np.ndarray:
        """Both on `tiles` tiles by tickets of `size`, shape of `size`."""
        cpu_us = size * self.cpu_us + self.cpu_ticket_us
        gpu_us = size * self.gpu_us + self.gpu_ticket_us
        return tiles / size * _both_us(cpu_us, gpu_us) + _WAIT * np.minimum(cpu_us, gpu_us)


@dataclass(frozen=True)
class Tickets:
    """How a task is shared by tickets.

    Attributes
    ----------
    size
        Tiles of a ticket.
    cpu_leaves, gpu_leaves, cut
        As in `hetcomp.plan.plan.Decision`.
    """

    size: int
    cpu_leaves: int
    gpu_leaves: int
    cut: int


def can_take_tickets(graph: TaskGraph, task: Task, axis: Axis) -> bool:
    """Whether the task's kernels can, and have tiles enough along `axis`."""
    alone = graph.kernels[task.kernel].items == (1, 1)
    return alone and grid_of(task, axis).extent >= _FEWEST * _least(grid_of(task, axis))


def tickets_for(grid: Grid, rates: Rates) -> Tickets:
    """The tickets with which both processors are predicted to be done first.

    Parameters
    ----------
    grid
        The tiles, `_FEWEST` tickets of them at least.
    rates
        What they cost.
    """
    least = _least(grid)
    sizes = np.arange(least, max(least, grid.extent // _FEWEST) + 1)
    size = int(sizes[np.argmin(rates.by_tickets_us(grid.extent, sizes))])
    cpu_us = size * rates.cpu_us + rates.cpu_ticket_us
    gpu_us = size * rates.gpu_us + rates.gpu_ticket_us
    count, share = grid.extent // size, gpu_us / max(cpu_us + gpu_us, _LEAST_US)
    return Tickets(
        size,
        cpu_leaves=min(count, _leaves(cpu_us, gpu_us)),
        gpu_leaves=min(count, _leaves(gpu_us, cpu_us)),
        cut=cut_at(grid, share),
    )


def _leaves(own_us: float, other_us: float) -> int:
    """How many of the last tickets the other processor does in the time of one here.

    It is in the midst of a ticket, half of which is left on average. Only the slower one leaves
    any, so that the other one takes all that are left.
    """
    return max(0, math.floor(own_us / max(other_us, _LEAST_US) - 0.5))


def _both_us(cpu_us: float | np.ndarray, gpu_us: float | np.ndarray) -> float | np.ndarray:
    """The time in which two do as much as one piece, given theirs for a piece."""
    return cpu_us * gpu_us / np.maximum(cpu_us + gpu_us, _LEAST_US)


def _least(grid: Grid) -> int:
    """Tiles of the smallest ticket: tiles that overlap are not divided."""
    return 2 if grid.ragged else 1
