"""Which timed plan serves a goal: the fastest within the cap, and what is noted of the others."""

from __future__ import annotations

import pytest

from hetcomp.goal import Goal
from hetcomp.plan.replay import Span
from hetcomp.plan.simulate import Simulation, Timeline
from hetcomp.plan.trial import Trial
from hetcomp.tune.calm import Round, TableTimes, TimedRun
from hetcomp.tune.choice import Choice, choose


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
        TableTimes(trial.simulation.plan, (Round((TimedRun(trial.measured_us, 0.0),)),) * 3)
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


@pytest.mark.parametrize(
    ("goal", "split_us", "best", "gain"),
    [
        (Goal("throughput"), 90.5, 0, ""),
        (Goal("throughput"), 180.0, 2, "50%"),
        (Goal("energy", cpu_watts=1.0, gpu_watts=2.0), 80.0, 1, "38%"),
        (Goal("energy", cpu_watts=2.0, gpu_watts=1.0), 20.0, 0, ""),
    ],
)
def test_a_single_processor_that_is_better_is_used(
    goal: Goal, split_us: float, best: int, gain: str
) -> None:
    choice = chosen(goal, split_us)
    assert choice.best == best
    name = ("split", "cpu", "gpu")[best]
    assert (f"; {name} alone is {gain} better for it than split; " in choice.text) == bool(gain)


def test_for_throughput_the_pipeline_is_compared() -> None:
    text = "a pipeline of plans cpu and gpu could give a result every 0.05 ms; "
    assert text in chosen(Goal("throughput"), 80.0).text
    assert text not in chosen(Goal("energy"), 80.0).text


def test_a_single_processor_over_the_cap_is_not_used() -> None:
    assert chosen(Goal("throughput", gpu_cap=0.6), 180.0).best == 1


def test_other_goals_keep_the_cap_too() -> None:
    assert chosen(Goal("throughput", gpu_cap=0.4), 90.0).best == 1
