"""Predict how long a plan takes, by walking its step table on two clocks."""

from __future__ import annotations

from dataclasses import dataclass, field

from hetcomp.cost.costs import Costs, SyncCost
from hetcomp.errors import InternalError
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Plan
from hetcomp.plan.pricing import Price, Pricer
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import Step, StepTable
from hetcomp.plan.transfer import share_of

__all__ = ["simulate"]


@dataclass
class _Clock:
    """One processor: what it has to do, and when each finished step ended."""

    steps: tuple[Step, ...]
    times_us: tuple[float, ...]
    ends_us: list[float] = field(default_factory=list)
    start_us: float = 0.0

    def advance(self, other: _Clock) -> bool:
        """Run steps until one must wait for something the other has not done yet."""
        begin = len(self.ends_us)
        while len(self.ends_us) < len(self.steps):
            wait = self.steps[len(self.ends_us)].wait
            if wait > len(other.ends_us):
                break
            free = self.ends_us[-1] if self.ends_us else self.start_us
            ready = other.ends_us[wait - 1] if wait else 0.0
            self.ends_us.append(max(free, ready) + self.times_us[len(self.ends_us)])
        return len(self.ends_us) > begin


def simulate(
    graph: TaskGraph,
    plan: Plan,
    costs: Costs,
    sync: SyncCost,
    *,
    table: StepTable | None = None,
) -> float:
    """Predict the time of one inference in microseconds, without copying inputs and outputs.

    Waits follow the step table exactly, so independent branches overlap where their memory does
    not clash. `table` may be given where it has been made already.
    """
    steps = table or make_table(graph, plan)
    prices = _prices(graph, plan, Pricer(graph, costs, sync))
    cpu = _Clock(steps.cpu, tuple(_cpu_us(prices[step.task]) for step in steps.cpu))
    gpu = _Clock(steps.gpu, tuple(_gpu_us(prices[step.task]) for step in steps.gpu))
    if steps.gpu:
        cpu.start_us = sync.first_enqueue_us + sync.enqueue_us * (len(steps.gpu) - 1)
        # The GPU is held until all of its steps are enqueued.
        gpu.start_us = max(sync.first_enqueue_us + sync.wake_us, cpu.start_us)
    while True:
        moved = [cpu.advance(gpu), gpu.advance(cpu)]
        if not any(moved):
            break
    if len(cpu.ends_us) < len(cpu.steps) or len(gpu.ends_us) < len(gpu.steps):
        raise InternalError(f"step table '{steps.name}': the processors wait for each other")
    return max(cpu.ends_us[-1:] + gpu.ends_us[-1:], default=0.0)


def _prices(graph: TaskGraph, plan: Plan, pricer: Pricer) -> tuple[Price, ...]:
    by_task = {decision.task: decision for decision in plan.decisions}
    shares = [share_of(task, by_task[task.name]) for task in graph.tasks]
    return tuple(
        pricer.price(index, share, shares.__getitem__) for index, share in enumerate(shares)
    )


def _cpu_us(price: Price) -> float:
    return price.cpu_us + price.cpu_transfer_us + price.sync_us


def _gpu_us(price: Price) -> float:
    return price.gpu_us + price.gpu_transfer_us + price.sync_us
