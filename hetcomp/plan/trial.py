"""A plan that was timed whole, against the goal that it was made for.

What either processor works is known step by step only, from the simulation; what is known of the
whole is its measured time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetcomp.goal import Goal
from hetcomp.plan.objective import achieved
from hetcomp.plan.simulate import Simulation

__all__ = ["Trial", "best_for"]


@dataclass(frozen=True)
class Trial:
    """A plan as it was simulated, and the time of an inference by it."""

    simulation: Simulation
    measured_us: float

    def keeps_cap(self, goal: Goal) -> bool:
        """Whether the GPU's work fits into the part of the measured time that `goal` allows."""
        if goal.gpu_cap == 1.0:
            return True
        return self.simulation.gpu.busy_us <= goal.gpu_cap * self.measured_us

    def achieved(self, goal: Goal) -> float:
        """What `goal` wants least, all simulated times stretched to the measured one."""
        stretch = self.measured_us / self.simulation.makespan_us
        return stretch * achieved(goal, self.simulation)


def best_for(goal: Goal, trials: Sequence[Trial], among: Sequence[int]) -> int:
    """Which of those at the indices `among` measured best for `goal`."""
    return min(among, key=lambda index: trials[index].achieved(goal))
