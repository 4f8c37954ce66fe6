"""What a ticket costs either processor beyond the tiles that it stands for.

A processor that gets all tickets of a task takes longer than one that runs its tiles at once: one
more call of the kernel a ticket, and the counter, which is in its own cache then. Where both take
tickets of next to no work, what these take longer than alone is the counter's way between caches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hetcomp.cost.samples import undisturbed
from hetcomp.plan.table import Step, StepTable
from hetcomp.profile.probes import FIRST, ROWS, SMALL, Room, whole
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
    """Each processor alone on a product's tickets, and both on those of a small block."""
    grid = room.graph.tasks[ROWS].rows
    product = replace(whole(room.graph, ROWS), ticket=2)
    tickets = grid.extent // product.ticket
    added = [
        (_alone_us(bench, room, product, side) - _at_once_us(bench, room, product, side)) / tickets
        for side in ("cpu", "gpu")
    ]
    block = Step(FIRST, 0, _TILES, 0, 1, ticket=1)
    alone = [_alone_us(bench, room, block, side) / _TILES for side in ("cpu", "gpu")]
    # While one processor takes one of `_TILES` tickets the other one takes another.
    turn_us = 2.0 * _together_us(bench, room, block) / _TILES
    travel_us = max(0.0, turn_us - sum(alone) / 2.0)
    return TicketCosts(*(max(0.0, us + travel_us) for us in added))


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
        room.layout({FIRST: (0, 1), ROWS: (2, 3)}),
        cpu=[small, replace(cpu, wait=1)],
        gpu=[small, replace(gpu, wait=1)],
    )


def _time_us(bench: Bench, table: StepTable, side: str) -> float:
    runs = bench.runs(table, _REPS)
    return undisturbed(cpu_us(runs, 1) if side == "cpu" else gpu_us(table, runs, 1))
