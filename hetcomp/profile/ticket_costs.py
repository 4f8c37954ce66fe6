"""What a ticket costs either processor beyond the tiles that it stands for.

A processor that gets all tickets of a task takes longer than one that runs its tiles at once: one
more call of the kernel a ticket, the counter, which is in its own cache then, and on the GPU the
tiles' order, from the end. What tickets take longer where both take them than where one does is the
counter's way between the caches. An element-wise kernel of little work shows this best: with a
product of 350 µs all of it is below the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hetcomp.cost.samples import undisturbed
from hetcomp.plan.table import Step, StepTable
from hetcomp.profile.probes import FIRST, SMALL, Room, whole
from hetcomp.profile.tables import table_of
from hetcomp.profile.timing import Bench, cpu_us, gpu_us

__all__ = ["TicketCosts", "measure_ticket_costs"]

_REPS = 40
_TILES = 64
"""Of an element-wise kernel, in as many tickets."""


@dataclass(frozen=True)
class TicketCosts:
    """In microseconds, by who takes the ticket.

    Attributes
    ----------
    cpu_ticket_us, gpu_ticket_us
        Where the processors take turns at the counter; 0 where noise covered the difference.
    """

    cpu_ticket_us: float
    gpu_ticket_us: float


def measure_ticket_costs(bench: Bench, room: Room) -> TicketCosts:
    """Each processor alone on all tickets of a block and on the block, and both on its tickets."""
    block = Step(FIRST, 0, _TILES, 0, 1, ticket=1)
    alone = [_alone_us(bench, room, block, side) / _TILES for side in ("cpu", "gpu")]
    plain = [_at_once_us(bench, room, block, side) / _TILES for side in ("cpu", "gpu")]
    together_us = _together_us(bench, room, block) / _TILES
    travel_us = max(0.0, together_us - 1.0 / sum(1.0 / us for us in alone))
    cpu_us, gpu_us = (
        max(0.0, own_us - plain_us + travel_us)
        for own_us, plain_us in zip(alone, plain, strict=True)
    )
    return TicketCosts(cpu_us, gpu_us)


def _alone_us(bench: Bench, room: Room, step: Step, side: str) -> float:
    """Time of a processor that the other one leaves all tickets to."""
    idle = replace(step, leave=(step.row_end - step.row_begin) // step.ticket)
    steps = (step, idle) if side == "cpu" else (idle, step)
    return _time_us(bench, _table(room, *steps), side)


def _at_once_us(bench: Bench, room: Room, step: Step, side: str) -> float:
    """Time of a processor for all tiles without tickets."""
    small, plain = whole(room.graph, SMALL), replace(step, ticket=0)
    steps = (plain, small) if side == "cpu" else (small, plain)
    return _time_us(bench, _table(room, *steps), side)


def _together_us(bench: Bench, room: Room, step: Step) -> float:
    """Time of the CPU where both take tickets: it ends within one ticket of the other."""
    return _time_us(bench, _table(room, step, step), "cpu")


def _table(room: Room, cpu: Step, gpu: Step) -> StepTable:
    """One step of each, which start together."""
    small = whole(room.graph, SMALL)
    return table_of(
        room.layout({FIRST: (0, 1)}),
        cpu=[small, replace(cpu, wait=1)],
        gpu=[small, replace(gpu, wait=1)],
    )


def _time_us(bench: Bench, table: StepTable, side: str) -> float:
    runs = bench.runs(table, _REPS)
    return undisturbed(cpu_us(runs, 1) if side == "cpu" else gpu_us(table, runs, 1))
