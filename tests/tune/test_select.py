"""Which of several step tables is used: by calm rounds, else by prediction, in doubt the simple."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from hetcomp.plan.table import StepTable
from hetcomp.tune.priority import favoured, preemptions
from hetcomp.tune.select import Round, TableTimes, compare, pick_fastest, time_tables

DRIFT = (1.0, 1.3, 0.9, 2.0, 1.1)


@dataclass
class FakeSession:
    """Notes what it runs; `preempts` says after which runs the count of preemptions has grown."""

    preempts: bool = False
    calls: list[str] = field(default_factory=list)
    table: str = ""

    def set_table(self, table: StepTable) -> None:
        self.table = table.name
        self.calls.append(f"set {table.name}")

    def run(self, feeds: Any) -> None:
        self.calls.append(f"run {self.table}")

    def count(self) -> int:
        return len(self.calls) if self.preempts else 0


def tables(*names: str) -> list[StepTable]:
    return [StepTable(name, (), (), (), 0) for name in names]


def times(name: str, us: float, calm: bool = True, drift: Sequence[float] = DRIFT) -> TableTimes:
    samples = [(us * factor, us * factor * 1.01) for factor in drift]
    return TableTimes(name, tuple(Round(pair, pair if calm else ()) for pair in samples))


def test_tables_take_turns() -> None:
    session = FakeSession()
    found = time_tables(
        session, tables("a", "b"), {}, rounds=2, most_rounds=2, count_preemptions=session.count
    )
    assert [item.name for item in found] == ["a", "b"]
    assert [call for call in session.calls if call.startswith("set")] == [
        *("set a", "set b"),
        *("set b", "set a"),
    ]
    assert all(turn.calm_us == turn.samples_us for item in found for turn in item.rounds)
    assert all(len(turn.samples_us) == 30 for item in found for turn in item.rounds)


def test_disturbed_inferences_do_not_count_and_are_made_up_for() -> None:
    session = FakeSession(preempts=True)
    found = time_tables(
        session, tables("a"), {}, rounds=2, most_rounds=6, count_preemptions=session.count
    )
    assert len(found[0].rounds) == 6
    assert not any(turn.calm_us for turn in found[0].rounds)


def test_the_time_ends_at_the_cap() -> None:
    session = FakeSession(preempts=True)
    found = time_tables(session, tables("a"), {}, cap_seconds=0.0, count_preemptions=session.count)
    assert len(found[0].rounds) == 1


def test_drift_of_the_machine_cancels_out() -> None:
    slow = times("slow", 100.0)
    fast = times("fast", 95.0)
    comparison = compare(fast, slow, predicted=3.0)
    assert comparison.ratio == pytest.approx(0.95)
    assert (comparison.calm_rounds, comparison.measured) == (5, True)


def test_without_calm_rounds_the_prediction_counts() -> None:
    split, cpu, gpu = times("split", 150.0, calm=False), times("cpu", 100.0), times("gpu", 120.0)
    best, comparisons = pick_fastest([split, cpu, gpu], [60.0, 100.0, 120.0], [1, 2])
    assert best == 0
    assert not comparisons[0].measured
    assert comparisons[0].ratio == pytest.approx(0.6)


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
    rounds = (Round((10.0, 50.0), (10.0,)), Round((12.0, 70.0), (12.0,)))
    assert TableTimes("a", rounds).typical_us == 11.0
    assert TableTimes("a", (Round((30.0, 20.0), ()),)).typical_us == 20.0


def test_priority_is_given_back() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with favoured():
        assert os.getpriority(os.PRIO_PROCESS, 0) <= before
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    assert preemptions() >= 0
