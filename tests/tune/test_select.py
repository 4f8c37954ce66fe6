"""Which of several step tables is used: by calm rounds, else by all, in doubt the simple one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from hetcomp.plan.table import StepTable
from hetcomp.tune.calm import Round, TableTimes, TimedRun
from hetcomp.tune.priority import ThreadTimes, favoured, thread_times, waited_us
from hetcomp.tune.select import (
    compare,
    pick_fastest,
    time_tables,
    timed_here,
)

DRIFT = (1.0, 1.3, 0.9, 2.0, 1.1)


@dataclass
class FakeSession:
    """Notes what it runs; `waits`: with every call a busy thread has waited a millisecond more."""

    waits: bool = False
    calls: list[str] = field(default_factory=list)
    table: str = ""

    def set_table(self, table: StepTable) -> None:
        self.table = table.name
        self.calls.append(f"set {table.name}")

    def run(self, feeds: Any) -> None:
        self.calls.append(f"run {self.table}")

    def threads(self) -> ThreadTimes:
        return _waited_ms(len(self.calls) if self.waits else 0)

    def timed(self, reps: int) -> list[TimedRun]:
        return timed_here(self, {}, reps, self.threads)


def _waited_ms(count: int) -> ThreadTimes:
    return {"1": (count, count * 1_000_000)}


def tables(*names: str) -> list[StepTable]:
    return [StepTable(name, (), (), (), 0) for name in names]


def times(name: str, us: float, calm: bool = True, drift: Sequence[float] = DRIFT) -> TableTimes:
    samples = [(us * factor, us * factor * 1.01) for factor in drift]
    return TableTimes(name, tuple(turn(*pair, calm=calm) for pair in samples))


def turn(*samples: float, calm: bool = True) -> Round:
    """Disturbed runs waited for all of their time, and a millisecond."""
    return Round(tuple(TimedRun(us, 0.0 if calm else us + 1000.0) for us in samples))


def test_tables_take_turns() -> None:
    session = FakeSession()
    found = time_tables(
        session, tables("a", "b"), {}, rounds=2, most_rounds=2, time_runs=session.timed
    )
    assert [item.name for item in found] == ["a", "b"]
    assert [call for call in session.calls if call.startswith("set")] == [
        *("set a", "set b"),
        *("set b", "set a"),
    ]
    assert all(item.calm_us == [turn.samples_us for turn in item.rounds] for item in found)
    assert all(len(turn.samples_us) == 30 for item in found for turn in item.rounds)


def test_disturbed_inferences_do_not_count_and_are_made_up_for() -> None:
    session = FakeSession(waits=True)
    found = time_tables(session, tables("a"), {}, rounds=2, most_rounds=6, time_runs=session.timed)
    assert len(found[0].rounds) == 6
    assert not any(found[0].calm_us)


def test_the_time_ends_at_the_cap() -> None:
    session = FakeSession(waits=True)
    found = time_tables(session, tables("a"), {}, cap_seconds=0.0, time_runs=session.timed)
    assert len(found[0].rounds) == 1


def test_drift_of_the_machine_cancels_out() -> None:
    slow = times("slow", 100.0)
    fast = times("fast", 95.0)
    comparison = compare(fast, slow, predicted=3.0)
    assert comparison.ratio == pytest.approx(0.95)
    assert (comparison.calm_rounds, comparison.measured) == (5, True)


def test_rounds_go_on_until_any_two_tables_were_calm_together() -> None:
    session = FakeSession()

    def disturbed_in_turns() -> ThreadTimes:
        """In every other turn, so that in each round one table is calm and the other is not."""
        turns = sum(call.startswith("set") for call in session.calls)
        return _waited_ms(len(session.calls) if turns % 2 else 0)

    found = time_tables(
        session, tables("a", "b"), {}, rounds=9, most_rounds=12,
        time_runs=lambda reps: timed_here(session, {}, reps, disturbed_in_turns),
    )  # fmt: skip
    assert len(found[0].rounds) == 12


@pytest.mark.parametrize("calm_cpu", [True, False])
def test_a_prediction_does_not_overrule_what_was_measured(calm_cpu: bool) -> None:
    found = [times("split", 2000.0, calm=False), times("cpu", 1000.0, calm=calm_cpu)]
    best, comparisons = pick_fastest(found, [600.0, 1000.0], [1])
    assert best == 1
    assert comparisons[0].ratio == pytest.approx(2.0)
    assert (comparisons[0].measured, comparisons[0].calm_rounds) == (True, 0)


@pytest.mark.parametrize(("split_us", "best"), [(700.0, 0), (1300.0, 1), (1050.0, 1)])
def test_without_calm_rounds_all_rounds_count(split_us: float, best: int) -> None:
    found = [times("split", split_us, calm=False), times("cpu", 1000.0, calm=False)]
    chosen, comparisons = pick_fastest(found, [550.0, 1000.0], [1])
    assert chosen == best
    assert comparisons[0].ratio == pytest.approx(split_us / 1000.0)


@pytest.mark.parametrize(("middle", "predicted", "best"), [
    (1.02, 0.6, 0), (1.02, 1.5, 1), (0.95, 1.5, 1), (1.3, 0.6, 1), (0.8, 1.5, 0),
])  # fmt: skip
def test_a_prediction_decides_a_tie(middle: float, predicted: float, best: int) -> None:
    scatter = (0.6, 0.9 * middle, middle, 1.15 * middle, 1.9)
    found = [
        times("split", 1000.0, calm=False, drift=scatter),
        times("cpu", 1000.0, drift=(1.0,) * 5),
    ]
    chosen, comparisons = pick_fastest(found, [1000.0 * predicted, 1000.0], [1])
    assert chosen == best
    tie = abs(middle - 1.0) < 0.1
    assert comparisons[0].measured != tie
    clipped = min(max(predicted, 0.9 * middle), 1.15 * middle)
    assert comparisons[0].ratio == pytest.approx(clipped if tie else middle)


def test_a_plan_that_is_not_allowed_is_neither_chosen_nor_the_measure() -> None:
    found = [times("split", 80.0), times("more", 95.0), times("cpu", 100.0), times("gpu", 90.0)]
    best, comparisons = pick_fastest(found, [80.0, 95.0, 100.0, 90.0], [2, 3], allowed=[1, 2])
    assert best == 1
    assert comparisons[1].ratio == pytest.approx(0.95)


@pytest.mark.parametrize(("split_us", "best"), [(99.5, 1), (98.0, 0), (130.0, 1)])
def test_the_simple_plan_is_kept_in_doubt(split_us: float, best: int) -> None:
    found = [times("split", split_us), times("cpu", 100.0), times("gpu", 101.0)]
    assert pick_fastest(found, [50.0, 100.0, 100.0], [1, 2])[0] == best


def test_the_better_single_processor_is_the_measure() -> None:
    found = [times("split", 98.0), times("cpu", 100.0), times("gpu", 90.0)]
    best, comparisons = pick_fastest(found, [50.0, 100.0, 100.0], [1, 2])
    assert best == 2
    assert comparisons[0].ratio == pytest.approx(98 / 90)


def test_typical_time_is_of_calm_samples() -> None:
    runs = [(10.0, 0.0), (50.0, 40.0), (12.0, 0.0), (70.0, 60.0)]
    timed = [TimedRun(time_us, waited_us) for time_us, waited_us in runs]
    assert TableTimes("a", (Round((*timed[:2],)), Round((*timed[2:],)))).typical_us == 11.0
    assert TableTimes("a", (turn(30.0, 20.0, calm=False),)).typical_us == 20.0


@pytest.mark.parametrize(("own_us", "calm"), [(0.0, 1), (300.0, 1), (4000.0, 0)])
def test_what_a_tables_own_threads_wait_for_each_other_is_no_disturbance(
    own_us: float, calm: int
) -> None:
    runs = (TimedRun(3000.0, own_us + 40.0), TimedRun(3000.0, own_us + 400.0))
    found = TableTimes("a", (Round(runs), Round((TimedRun(3000.0, own_us),))))
    assert [len(samples) for samples in found.calm_us] == [calm, calm]


def test_waits_count_of_threads_that_compute() -> None:
    before = {"main": (0, 0), "worker": (0, 0), "idle": (0, 0), "gone": (0, 0)}
    after = {"main": (1000, 2000), "worker": (500, 3000), "idle": (5, 90000), "new": (900, 70000)}
    assert waited_us(before, after) == 5.0
    assert waited_us(thread_times(), thread_times()) >= 0.0


def test_priority_is_given_back() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with favoured():
        assert os.getpriority(os.PRIO_PROCESS, 0) <= before
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
