"""Which timed plan serves a goal: the fastest within the cap, and what is noted of the others."""

from __future__ import annotations

import pytest

from hetcomp.goal import Goal
from hetcomp.plan.replay import Span
from hetcomp.plan.simulate import Simulation, Timeline
from hetcomp.plan.trial import Trial
from hetcomp.tune.choice import Choice, choose
from hetcomp.tune.select import Round, TableTimes


def timeline(busy_us: float) -> Timeline:
    return Timeline((0,), (Span(0.0, busy_us, 0.0),))


def chosen(goal: Goal, split_us: float) -> Choice:
    """Of a plan whose GPU works 40 us, predicted 80 us in all, and of each processor alone."""
    trials = [
        Trial(Simulation("split", 80.0, timeline(80.0), timeline(40.0)), split_us),
        Trial(Simulation("cpu", 100.0, timeline(100.0), Timeline((), ())), 100.0),
        Trial(Simulation("gpu", 90.0, Timeline((), ()), timeline(90.0)), 90.0),
    ]
    times = [
        TableTimes(trial.simulation.plan, (Round((trial.measured_us,), (trial.measured_us,)),) * 3)
        for trial in trials
    ]
    return choose(goal, trials, times)


@pytest.mark.parametrize(
    ("cap", "split_us", "best"),
    [(1.0, 70.0, 0), (0.6, 70.0, 0), (0.5, 70.0, 1), (0.6, 120.0, 1), (1.0, 120.0, 2)],
)
def test_the_fastest_within_the_cap_is_used(cap: float, split_us: float, best: int) -> None:
    choice = chosen(Goal(gpu_cap=cap), split_us)
    assert choice.best == best
    over = [] if cap == 1.0 else ["gpu"] if cap * split_us >= 40.0 else ["split", "gpu"]
    assert (f"over the cap as measured: {', '.join(over)};" in choice.text) == bool(over)


@pytest.mark.parametrize(("split_us", "noted"), [(80.0, False), (180.0, True)])
def test_a_single_processor_that_is_better_is_noted(split_us: float, noted: bool) -> None:
    choice = chosen(Goal("throughput"), split_us)
    assert choice.best == 0
    assert ("gpu alone measured 50% better for it" in choice.text) == noted


def test_other_goals_keep_the_cap_too() -> None:
    assert chosen(Goal("throughput", gpu_cap=0.4), 90.0).best == 1
