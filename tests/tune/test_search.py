"""Search: proposals, the cost model, the loop with a stand-in for the device."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tuning_tasks import STAMP, FakeRunner, any_runner, small_tasks

from hetcomp.schedules.choice import Choice
from hetcomp.tune.database import Database
from hetcomp.tune.evaluate import Protocol
from hetcomp.tune.features import feature_names, features
from hetcomp.tune.loop import LoopOptions, TuneLoop
from hetcomp.tune.results import State
from hetcomp.tune.runner import Outcome
from hetcomp.tune.search import CostModel, Sample, Search, choice_at, point_of
from hetcomp.tune.space import draw
from hetcomp.tune.trial import Trial

TRIALS = 40


def best_is_tall_and_unrolled(choice: Choice) -> float:
    if choice == Choice():
        return 100.0
    unrolled = 15.0 * (choice.cpu.unroll == 4)
    return 110.0 - unrolled - 10.0 * ((choice.vectors or 2) == 4) - 5.0 * ((choice.height or 0) < 8)


def loop(path: Path, runner: FakeRunner, trials: int = TRIALS, seed: int = 0) -> TuneLoop:
    options = LoopOptions(trials, seed=seed)
    return TuneLoop(small_tasks(), Database(path), any_runner(runner), STAMP, options)


def test_tasks_are_distinct_and_have_a_space() -> None:
    tasks = small_tasks()
    assert len({task.key for task in tasks}) == len(tasks) == 2
    assert [task.flops for task in tasks] == sorted((t.flops for t in tasks), reverse=True)
    assert all(task.uses == 1 and task.spaces["direct"].knobs for task in tasks)


def test_points_and_choices_correspond() -> None:
    task = small_tasks()[0]
    rng = random.Random(0)
    for _ in range(20):
        point = draw(task.spaces["direct"], rng)
        assert point_of(task, choice_at(task, point).values()) == point
        assert len(features(task, point)) == len(feature_names())
    assert point_of(task, {"height": 999}) is None


def test_proposals_are_new_and_end_with_the_space() -> None:
    task = small_tasks()[0]
    search = Search(task, random.Random(0), {Choice()})
    seen: list[Choice] = []
    for _ in range(30):
        points = search.propose(CostModel(0), 8, [])
        seen += [choice_at(task, point) for point in points]
    assert len(seen) == len(set(seen))
    assert Choice() not in seen


def test_model_prefers_what_was_fast() -> None:
    task = small_tasks()[0]
    rng = random.Random(1)
    points = [draw(task.spaces["direct"], rng) for _ in range(60)]
    times = [best_is_tall_and_unrolled(choice_at(task, p)) / 100.0 for p in points]
    model = CostModel(0)
    model.fit([Sample(task, p, t) for p, t in zip(points[:45], times[:45], strict=True)])
    assert model.fitted
    predicted = model.predict(task, points[45:])
    best = min(range(15), key=lambda i: predicted[i])
    assert times[45 + best] <= sorted(times[45:])[4]


def test_loop_finds_a_faster_choice_and_confirms_it(tmp_path: Path) -> None:
    runner = FakeRunner(best_is_tall_and_unrolled)
    results = loop(tmp_path / "db", runner).run()
    assert sum(result.trials for result in results) == TRIALS
    for result in results:
        assert result.winner is not None
        assert result.winner.ratio is not None
        assert result.winner.ratio <= 0.9
        assert result.winner.choice["cpu.unroll"] == 4


def test_same_seed_same_candidates(tmp_path: Path) -> None:
    runs = [FakeRunner(best_is_tall_and_unrolled) for _ in range(2)]
    for number, runner in enumerate(runs):
        loop(tmp_path / str(number), runner, trials=16, seed=3).run()
    assert runs[0].trials == runs[1].trials


def test_nothing_slower_than_the_default_wins(tmp_path: Path) -> None:
    runner = FakeRunner(lambda choice: 100.0 if choice == Choice() else 103.0)
    for result in loop(tmp_path / "db", runner, trials=12).run():
        assert result.winner is not None
        assert not result.winner.choice


def test_wrong_numbers_never_win(tmp_path: Path) -> None:
    runner = FakeRunner(lambda _: 50.0, error=lambda choice: float(choice != Choice()))
    path = tmp_path / "db"
    for result in loop(path, runner, trials=8).run():
        assert result.winner is not None
        assert not result.winner.choice
        assert result.failures == result.trials
    assert {r.status for r in Database(path).records if r.role == "trial"} == {"wrong"}


def test_tuning_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "db"
    first = FakeRunner(best_is_tall_and_unrolled)

    def kill(state: State) -> None:
        if state.done >= 10:
            raise KeyboardInterrupt

    interrupted = TuneLoop(
        small_tasks(), Database(path), any_runner(first), STAMP, LoopOptions(TRIALS), kill
    )
    with pytest.raises(KeyboardInterrupt):
        interrupted.run()
    path.write_bytes(path.read_bytes()[:-30])  # as a kill in the middle of a line leaves it
    second = FakeRunner(best_is_tall_and_unrolled)
    results = loop(path, second).run()
    assert sum(result.trials for result in results) == TRIALS
    assert sum(record.role == "trial" for record in Database(path).records) == TRIALS
    third = FakeRunner(best_is_tall_and_unrolled)
    loop(path, third).run()
    assert third.trials == []


class CrashingRunner(FakeRunner):
    """As if one choice crashed in the second, longer measurement, alone or among others."""

    def __init__(self, crashing: Callable[[Choice], bool]) -> None:
        super().__init__(best_is_tall_and_unrolled)
        self.crashing = crashing

    def run(self, trial: Trial, protocol: Protocol) -> Outcome:
        arms = [Choice().with_values(values) for values in trial.choices]
        if protocol.seconds > Protocol.seconds and any(map(self.crashing, arms[1:])):
            return Outcome(None, "crash", "the measuring process died")
        return super().run(trial, protocol)


def test_a_finalist_that_crashes_costs_only_itself(tmp_path: Path) -> None:
    good = loop(tmp_path / "good", FakeRunner(best_is_tall_and_unrolled)).run()
    best = [dict(result.choice) for result in good]
    runner = CrashingRunner(lambda choice: choice.values() in best)
    for result in loop(tmp_path / "db", runner).run():
        assert result.choice
        assert result.choice not in best
        assert result.ratio < 1.0


def test_without_a_second_measurement_the_winner_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "db"
    for result in loop(path, CrashingRunner(lambda _: True)).run():
        assert result.winner is None
        assert (result.choice, result.ratio) == ({}, 1.0)
    again = loop(path, FakeRunner(best_is_tall_and_unrolled)).run()
    assert all(result.choice for result in again)
