"""The plans that a .so carries, and their step tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Plan
from hetcomp.plan.simulate import Simulator, with_times
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
        Predicts the plans' steps; None where no times are known.
    """

    plans: tuple[Plan, ...]
    notes: Mapping[str, Any]
    simulator: Simulator | None = None

    def tables(self, graph: TaskGraph, limit_bytes: int = 0) -> tuple[StepTable, ...]:
        """A step table for every plan, with predicted times as far as they are known."""
        tables = (make_table(graph, plan, limit_bytes=limit_bytes) for plan in self.plans)
        simulator = self.simulator
        if simulator is None:
            return tuple(tables)
        return tuple(with_times(table, simulator.run(table)) for table in tables)
