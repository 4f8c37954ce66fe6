"""Waits: what waiting for each other costs beyond the kernels' own times."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hetcomp.cost.samples import undisturbed
from hetcomp.plan.table import Step
from hetcomp.profile.probes import COMPUTE, SMALL, Room, whole
from hetcomp.profile.tables import table_of
from hetcomp.profile.timing import Bench, in_a_row_us

__all__ = ["Waits", "measure_waits"]

_STEPS = 32


@dataclass(frozen=True)
class Waits:
    """In microseconds.

    Attributes
    ----------
    handover_us
        Added where one processor goes on with what the other one made.
    split_us
        Added where both halves of a task wait for both halves of the one before.
    """

    handover_us: float
    split_us: float


def measure_waits(bench: Bench, room: Room, reps: int) -> Waits:
    """Chains of small kernels from one processor to the other, and of halves side by side."""
    small = whole(room.graph, SMALL)
    turns = _period_us(bench, room, _in_turns(small), reps)
    alone = [_alone_us(bench, room, small, processor, reps) for processor in ("cpu", "gpu")]
    work = _some_work(room)
    halves = _period_us(bench, room, _side_by_side(work), reps)
    half_us = max(_alone_us(bench, room, work, processor, reps) for processor in ("cpu", "gpu"))
    return Waits(max(0.0, (turns - sum(alone)) / 2.0), max(0.0, halves - half_us))


def _some_work(room: Room) -> Step:
    """Some 20 to 40 µs that touch no line of the other processor."""
    step = whole(room.graph, COMPUTE)
    return replace(step, row_end=1)


def _in_turns(step: Step) -> tuple[list[Step], list[Step]]:
    """CPU step k waits for GPU step k - 1, and GPU step k for CPU step k."""
    cpu = [replace(step, wait=k) for k in range(_STEPS)]
    gpu = [replace(step, wait=k + 1) for k in range(_STEPS)]
    return cpu, gpu


def _side_by_side(step: Step) -> tuple[list[Step], list[Step]]:
    """Step k of either waits for step k - 1 of the other."""
    steps = [replace(step, wait=k) for k in range(_STEPS)]
    return steps, steps


def _period_us(bench: Bench, room: Room, steps: tuple[list[Step], list[Step]], reps: int) -> float:
    runs = bench.runs(table_of(room.layout({}), *steps), reps)
    return undisturbed([run.cpu[-1].end_us - run.cpu[0].end_us for run in runs]) / (_STEPS - 1)


def _alone_us(bench: Bench, room: Room, step: Step, processor: str, reps: int) -> float:
    return in_a_row_us(bench, room.layout({}), step, processor, steps=_STEPS, reps=reps)
