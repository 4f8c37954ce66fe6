"""Which of the timed plans serves a goal, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetcomp.goal import Goal
from hetcomp.plan.pace import in_turns_us
from hetcomp.plan.plan import Place
from hetcomp.plan.trial import Trial, best_for
from hetcomp.tune.calm import TableTimes
from hetcomp.tune.select import Comparison, pick_fastest

__all__ = ["Choice", "choose"]

_SINGLE = (Place.CPU.value, Place.GPU.value)
_MARGIN = 0.01
"""By how much a single processor has to be better for a goal to be taken for it, as how busy either
was is reckoned and not measured."""


@dataclass(frozen=True)
class Choice:
    """Index of the plan to use, how each compares with the best single processor, and why."""

    best: int
    comparisons: tuple[Comparison, ...]
    text: str


def choose(goal: Goal, trials: Sequence[Trial], times: Sequence[TableTimes]) -> Choice:
    """The fastest plan that keeps the cap on the GPU; for other goals the first one that does,
    or the better single processor where that is better by more than a margin.

    `trials` and `times` are of the same plans; plan `cpu`, which keeps every cap, is among them.
    """
    allowed = [index for index, trial in enumerate(trials) if trial.keeps_cap(goal)]
    singles = [index for index in allowed if trials[index].simulation.plan in _SINGLE]
    predicted_us = [trial.simulation.makespan_us for trial in trials]
    best, comparisons = pick_fastest(times, predicted_us, singles, allowed)
    basis = _basis(comparisons)
    if goal.objective != "latency":
        best, why = _for_goal(goal, trials, allowed[0], singles)
        basis = f"{_pipeline(goal, trials)}{why}measured plans"
    text = f"{basis}: {', '.join(map(_times_text, trials))}"
    if not goal.is_fastest:
        text = f"planned for {goal.text}; {_over_cap(trials, allowed)}{text}"
    return Choice(best, comparisons, text)


def _times_text(trial: Trial) -> str:
    name, predicted_us = trial.simulation.plan, trial.simulation.makespan_us
    return f"{name} {trial.measured_us / 1e3:.2f} ms, predicted {predicted_us / 1e3:.2f}"


def _basis(comparisons: Sequence[Comparison]) -> str:
    if all(comparison.measured for comparison in comparisons):
        return "fastest of the measured plans"
    return "fastest of the measured plans, by prediction where disturbed times tie"


def _for_goal(
    goal: Goal, trials: Sequence[Trial], planned: int, singles: Sequence[int]
) -> tuple[int, str]:
    """The plan to use of the `planned` one and single processors, and why."""
    single = best_for(goal, trials, singles)
    gain = 1.0 - trials[single].achieved(goal) / trials[planned].achieved(goal)
    if gain <= _MARGIN:
        return planned, ""
    names = [trials[index].simulation.plan for index in (single, planned)]
    return single, f"{names[0]} alone is {gain:.0%} better for it than {names[1]}; "


def _pipeline(goal: Goal, trials: Sequence[Trial]) -> str:
    """How fast whole inferences on either processor at the same time would be."""
    alone = {trial.simulation.plan: trial.measured_us for trial in trials}
    if goal.objective != "throughput" or not set(_SINGLE) <= alone.keys():
        return ""
    period_us = in_turns_us(*(alone[name] for name in _SINGLE))
    return f"a pipeline of plans cpu and gpu could give a result every {period_us / 1e3:.2f} ms; "


def _over_cap(trials: Sequence[Trial], allowed: Sequence[int]) -> str:
    names = [trial.simulation.plan for index, trial in enumerate(trials) if index not in allowed]
    return f"over the cap as measured: {', '.join(names)}; " if names else ""
