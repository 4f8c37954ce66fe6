"""What sharing a task costs beyond its work: a cut that is off, or tickets.

A cut is chosen from predicted times, so that in truth one part ends before the other, and waits.
Of two times that scatter, the later one is expected later than either. Tickets do not know this
wait, but cost something themselves: so they pay where little is known of the times, or where the
task is long enough, and a cut where the times are sure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from numpy.typing import NDArray

from hetcomp.cost.costs import Spread, SyncCost
from hetcomp.plan.candidates import Choice
from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Task
from hetcomp.plan.plan import Mode
from hetcomp.plan.tickets import Rates

__all__ = ["Halves", "expected_wait_us", "shared"]

Array = NDArray[Any]
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Halves:
    """Both parts of a task under each of its placements, in microseconds, shape (placements,).

    Attributes
    ----------
    cpu_us, gpu_us
        Their times.
    sharing_us
        What of these is no work: the expected wait of a cut, or what tickets cost.
    """

    cpu_us: Array
    gpu_us: Array
    sharing_us: Array


def shared(
    task: Task, choices: Sequence[Choice], work: Halves, sync: SyncCost, spread: Spread
) -> Halves:
    """The times of `work` with what sharing adds to them.

    Parameters
    ----------
    task, choices
        The task and its placements.
    work
        Times of the parts on either side of the cut, with tickets of where they are to meet.
    sync
        What tickets cost.
    spread
        How sure the times are.
    """
    cpu, gpu, added = work.cpu_us.copy(), work.gpu_us.copy(), work.sharing_us.copy()
    for place, choice in enumerate(choices):
        if not choice.share.split:
            continue
        cpu_us, gpu_us = float(cpu[place]), float(gpu[place])
        if choice.decision.mode is Mode.TICKETS:
            both_us, added[place] = _by_tickets(task, choice, cpu_us, gpu_us, sync)
            cpu[place] = gpu[place] = both_us
        else:
            added[place] = expected_wait_us(cpu_us, gpu_us, spread)
            cpu[place] += added[place]
            gpu[place] += added[place]
    return Halves(cpu, gpu, added)


def expected_wait_us(cpu_us: float, gpu_us: float, spread: Spread) -> float:
    """By how much the later of two times that scatter is expected after the later of their means.

    The expectation of the greater of two independent normal variables: for equal means 0.4 of the
    standard deviation of their difference.
    """
    deviation_us = math.hypot(cpu_us * spread.cpu, gpu_us * spread.gpu)
    if deviation_us == 0.0:
        return 0.0
    apart = abs(cpu_us - gpu_us) / deviation_us
    return deviation_us * (_NORMAL.pdf(apart) - apart * _NORMAL.cdf(-apart))


def _by_tickets(
    task: Task, choice: Choice, cpu_us: float, gpu_us: float, sync: SyncCost
) -> tuple[float, float]:
    """When both have done a task's tickets, and what of this is no work."""
    decision, extent = choice.decision, grid_of(task, choice.decision.axis).extent
    cpu_tiles = decision.cut
    rates = Rates.of(cpu_us / cpu_tiles, gpu_us / (extent - cpu_tiles), sync)
    both_us = float(rates.by_tickets_us(extent, decision.ticket))
    return both_us, both_us - rates.together_us(extent)
