"""Processors work through their steps: an event-driven replay.

Each runs its own steps in order; a step starts when its predecessor has ended and the other
processor has finished as many steps as it waits for. Of a step with tickets each takes one after
the other from a counter that both share. The NPU's steps wait for those of the CPU that hand them
over, and some of the CPU's steps for the NPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hetcomp.errors import InternalError

__all__ = ["Counter", "Lane", "Span", "Turns", "replay"]


class Span(NamedTuple):
    """When a step ran, in microseconds from the start of the inference, and its wait before."""

    start_us: float
    end_us: float
    wait_us: float


@dataclass
class Counter:
    """Tickets of a task that nobody has taken."""

    left: int


@dataclass(frozen=True)
class Turns:
    """A step's way through the tickets of its task.

    Attributes
    ----------
    counter
        Shared with the other processor's step.
    ticket_us
        Time of a ticket with the other processor idle.
    leaves
        How many of the last ones the other processor gets.
    """

    counter: Counter
    ticket_us: float
    leaves: int

    def take(self) -> bool:
        """Take a ticket, if there is one for this processor."""
        if self.counter.left <= self.leaves:
            return False
        self.counter.left -= 1
        return True


@dataclass
class Lane:
    """One processor.

    Attributes
    ----------
    times_us
        Time of every step with the other processor idle; of one with tickets before the first.
    waits
        How many steps of the other processor must have ended before each.
    factors
        On a step's time while the other processor works.
    start_us
        When the first step may start.
    turns
        Tickets, by the number of the step.
    npu_waits
        How many steps of the NPU must have ended before some of the steps, by their number.
    """

    times_us: Sequence[float]
    waits: Sequence[int]
    factors: Sequence[float]
    start_us: float = 0.0
    turns: Mapping[int, Turns] = field(default_factory=dict)
    npu_waits: Mapping[int, int] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    left_us: float | None = None
    begun_us: float = 0.0

    def begin(self, now_us: float, other: Lane, npu: Lane) -> None:
        """Start the next step if it can start now."""
        index = len(self.spans)
        if self.left_us is not None or index == len(self.times_us):
            return
        if self.npu_waits.get(index, 0) > len(npu.spans):
            return
        if now_us >= self.start_us and self.waits[index] <= len(other.spans):
            self.left_us, self.begun_us = self.times_us[index], now_us

    def rate(self, other: Lane) -> float:
        """Work done per time beside `other`, 0 where nothing runs."""
        if self.left_us is None:
            return 0.0
        return 1.0 if other.left_us is None else 1.0 / self.factors[len(self.spans)]

    def next_us(self, now_us: float, rate: float) -> float:
        """When something happens here next, if the other processor goes on as now."""
        if self.left_us is not None:
            return now_us + self.left_us / rate
        unstarted = now_us < self.start_us and len(self.times_us) > 0
        return self.start_us if unstarted else math.inf

    def advance(self, then_us: float, work_us: float, *, ends: bool) -> None:
        """Do `work_us` of the running step or ticket, which `ends` with it or goes on."""
        if self.left_us is None:
            return
        self.left_us -= work_us
        turns = self.turns.get(len(self.spans))
        if ends and turns is not None and turns.take():
            self.left_us = turns.ticket_us
        elif ends:
            before = self.spans[-1].end_us if self.spans else self.start_us
            self.spans.append(Span(self.begun_us, then_us, self.begun_us - before))
            self.left_us = None


def replay(cpu: Lane, gpu: Lane, npu: Lane, name: str) -> tuple[tuple[Span, ...], ...]:
    """Spans of all steps of each processor; `name` is for errors.

    Raises
    ------
    InternalError
        The processors wait for each other for ever.
    """
    now_us = 0.0
    lanes = (cpu, gpu, npu)
    while True:
        for lane, other in zip(lanes, (gpu, cpu, cpu), strict=True):
            lane.begin(now_us, other, npu)
        rates = cpu.rate(gpu), gpu.rate(cpu), npu.rate(npu)
        due = [lane.next_us(now_us, rate) for lane, rate in zip(lanes, rates, strict=True)]
        then_us = min(due)
        if math.isinf(then_us):
            break
        for lane, rate, end_us in zip(lanes, rates, due, strict=True):
            lane.advance(then_us, (then_us - now_us) * rate, ends=end_us == then_us)
        now_us = then_us
    if any(len(lane.spans) < len(lane.times_us) for lane in lanes):
        raise InternalError(f"step table '{name}': the processors wait for each other")
    return tuple(tuple(lane.spans) for lane in lanes)
