"""`hetcomp tune` on the real device, killed and resumed; and what its winners rest on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
from tuning_tasks import STAMP, FakeRunner, any_runner, small_model, small_tasks

from hetcomp.schedules.choice import Choice
from hetcomp.tune.database import Database, Record
from hetcomp.tune.evaluate import Evaluation, Protocol
from hetcomp.tune.loop import LoopOptions, TuneLoop
from hetcomp.tune.runner import Outcome
from hetcomp.tune.trial import Trial

TRIALS = 8
START_S = 300.0  # two busy cores


def command(folder: Path) -> list[str]:
    arguments = [folder / "model.onnx", "--db", folder / "db", "--device", "cpu"]
    return [sys.executable, "-m", "hetcomp", "tune", *map(str, arguments), "--trials", str(TRIALS)]


def kill_after_first_batch(folder: Path) -> None:
    """Start the tuning, and kill it as soon as a trial is in its data base."""
    process = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + START_S
        while not (folder / "db").is_file() and time.monotonic() < deadline:
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.01)
        process.kill()
        assert process.wait(timeout=START_S) == -signal.SIGKILL
    finally:
        with contextlib.suppress(ProcessLookupError):  # its workers end by themselves, as a rule
            os.killpg(process.pid, signal.SIGKILL)


def assert_second_measurement(winner: Record) -> None:
    """A winner's own numbers say that it is not slower than its default."""
    assert winner.ratio is not None
    if not winner.choice:
        assert winner.ratio == 1.0
        return
    assert winner.ratio < 1.0
    assert winner.times_us.keys() == winner.default_us.keys() != set()
    for processor, time_us in winner.times_us.items():
        assert time_us <= 1.01 * winner.default_us[processor]


def test_a_killed_tuning_goes_on_and_its_winners_are_not_slower(tmp_path: Path) -> None:
    onnx.save(small_model(), str(tmp_path / "model.onnx"))
    kill_after_first_batch(tmp_path)
    before = Database(tmp_path / "db").records
    assert 0 < len(before) < TRIALS
    done = subprocess.run(
        [*command(tmp_path), "--json"], capture_output=True, text=True, timeout=START_S
    )
    assert done.returncode == 0, done.stderr
    records = Database(tmp_path / "db").records
    assert records[: len(before)] == before
    trials = [record for record in records if record.role == "trial"]
    assert json.loads(done.stdout)["trials"] == len(trials) == TRIALS
    tried = [(record.task, json.dumps(record.choice, sort_keys=True)) for record in trials]
    assert len(set(tried)) == TRIALS
    winners = [record for record in records if record.role == "winner"]
    assert {winner.task for winner in winners} == {trial.task for trial in trials}
    for winner in winners:
        assert_second_measurement(winner)


class Killed(BaseException):
    """What nobody catches: nothing runs after it, as after a signal."""


class DyingRunner(FakeRunner):
    """Ends the tuning in the middle of its measurement number `dies_at`, counted from 0."""

    def __init__(self, dies_at: int | None = None) -> None:
        super().__init__(lambda choice: 100.0 if choice == Choice() else 80.0)
        self.dies_at, self.calls = dies_at, 0

    def run(self, trial: Trial, protocol: Protocol) -> Outcome:
        self.calls += 1
        if self.calls - 1 == self.dies_at:
            raise Killed
        return super().run(trial, protocol)


def tune(path: Path, runner: FakeRunner) -> tuple[Record, ...]:
    """Tune `small_tasks` with a data base at `path`; all that it holds then."""
    options = LoopOptions(trials=TRIALS)
    TuneLoop(small_tasks(), Database(path), any_runner(runner), STAMP, options).run()
    return Database(path).records


def test_a_tuning_killed_anywhere_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """Killed in each measurement, of trials and of winners, with half a line written last."""
    whole = DyingRunner()
    tune(tmp_path / "whole", whole)
    assert whole.calls == 2 * len(small_tasks())  # of each task its trials, then its winner
    for dies_at in range(whole.calls):
        path = tmp_path / f"db{dies_at}"
        with pytest.raises(Killed):
            tune(path, DyingRunner(dies_at))
        before = Database(path).records
        if path.exists():
            with path.open("a") as stream:
                stream.write('{"version": ')
        records = tune(path, DyingRunner())
        assert records[: len(before)] == before
        trials = [record for record in records if record.role == "trial"]
        assert len({json.dumps([t.task, t.choice], sort_keys=True) for t in trials}) == TRIALS
        winners = [record for record in records if record.role == "winner"]
        assert sorted(w.task for w in winners) == sorted({t.task for t in trials})
        for winner in winners:
            assert_second_measurement(winner)
        again = DyingRunner()
        assert tune(path, again) == records
        assert again.calls == 0


class NoisyRunner(FakeRunner):
    """The first, short measurement is worth little; the second tells the truth."""

    def __init__(self, seed: int) -> None:
        super().__init__(lambda choice: 100.0 if choice == Choice() else self.true_us(choice))
        self.seed, self.rng = seed, random.Random(seed)

    def true_us(self, choice: Choice) -> float:
        return 100.0 * random.Random(f"{self.seed}{choice}").uniform(0.9, 1.3)

    def run(self, trial: Trial, protocol: Protocol) -> Outcome:
        outcome = super().run(trial, protocol)
        if protocol.seconds > Protocol.seconds or outcome.evaluation is None:
            return outcome
        default, *others = outcome.evaluation.times_us["cpu"]
        lucky = [tuple(us * self.rng.uniform(0.5, 1.0) for us in arm) for arm in others]
        return Outcome(Evaluation(outcome.evaluation.errors, {"cpu": (default, *lucky)}))


@pytest.mark.parametrize("seed", range(5))
def test_luck_in_the_first_measurement_wins_nothing(tmp_path: Path, seed: int) -> None:
    path, runner = tmp_path / "db", NoisyRunner(seed)
    options = LoopOptions(trials=24, seed=seed)
    TuneLoop(small_tasks(), Database(path), any_runner(runner), STAMP, options).run()
    records = Database(path).records
    assert any(record.role == "trial" and (record.ratio or 1.0) < 0.97 for record in records)
    winners = [record for record in records if record.role == "winner"]
    assert len(winners) == len(small_tasks())
    for winner in winners:
        assert_second_measurement(winner)
        if winner.choice:
            assert runner.true_us(Choice().with_values(winner.choice)) < 100.0
