"""The plans that a .so carries, and their step tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hetcomp.goal import Goal
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.objective import keeps_cap
from hetcomp.plan.plan import Plan
from hetcomp.plan.simulate import Simulation, Simulator, with_times
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import StepTable

__all__ = ["Placement"]


@dataclass(frozen=True)
class Placement:
    """What a .so carries.

    Attributes
    ----------
    plans
        The default first.
    notes
        For `explain`.
    simulator
        Predicts the steps of plans; None where no times are known.
    goal
        What the plans are for. The runtime does not change over to a plan that misses it.
    peak_bytes
        Largest memory of the process that measured; None where there was none, or none is known.
    """

    plans: tuple[Plan, ...]
    notes: Mapping[str, Any]
    simulator: Simulator | None = None
    goal: Goal = field(default_factory=Goal)
    peak_bytes: int | None = None

    def tables(self, graph: TaskGraph, limit_bytes: int = 0) -> tuple[StepTable, ...]:
        """A step table for every plan, with predicted times as far as they are known."""
        tables = [make_table(graph, plan, limit_bytes=limit_bytes) for plan in self.plans]
        simulator = self.simulator
        if simulator is None:
            return tuple(tables)
        return tuple(self._timed(simulator, table, table is tables[0]) for table in tables)

    def _timed(self, simulator: Simulator, table: StepTable, default: bool) -> StepTable:
        if table.npu or not simulator.knows(table):
            return replace(table, stands_in=default)
        run = simulator.run(table)
        return replace(with_times(table, run), stands_in=default or self._serves(run))

    def _serves(self, simulation: Simulation) -> bool:
        """Whether the goal is met by this plan when it is the fastest."""
        return self.goal.objective == "latency" and keeps_cap(self.goal, simulation)
