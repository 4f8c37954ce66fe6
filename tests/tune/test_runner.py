"""Trials on the real device: built, measured, checked; what crashes or hangs costs only itself."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from typing import Any

import cloudpickle
import numpy as np
import pytest
from board import Board, once_it_serves
from opencl_device import NEEDS_OPENCL
from tuning_tasks import integer_task, small_tasks

from hetcomp.codegen.functions import function_to_json
from hetcomp.device_class import find_groups
from hetcomp.errors import InputError
from hetcomp.remote import Remote
from hetcomp.tune.contents import drawn
from hetcomp.tune.evaluate import Evaluation, Protocol, evaluate
from hetcomp.tune.runner import TrialRunner
from hetcomp.tune.tasks import TuneTask
from hetcomp.tune.trial import Trial

cloudpickle.register_pickle_by_value(sys.modules[__name__])

LEAST_US = 0.5
"""Less than any launch takes: a batch whose ends were noticed together, say by a busy CPU."""
CPU = Protocol(2, ("cpu",), seconds=0.05)


def trial(task: TuneTask | None = None, **values: Any) -> Trial:
    task = task or small_tasks()[0]
    function, constants = function_to_json(task.func), tuple(sorted(task.constants))
    return Trial(function, constants, ({}, values), False, small=task.small)


def check(evaluation: Evaluation | None) -> None:
    assert evaluation is not None
    assert max(evaluation.errors) < 1e-5
    assert all(us > 0 for arm in evaluation.times_us["cpu"] for us in arm)


@NEEDS_OPENCL
@pytest.mark.parametrize(
    ("device_class", "values"),
    [("cpu-like", {"opencl.unroll": 2}), ("gpu", {"group.rows": 16, "group.depth": 8})],
)
def test_both_processors_are_timed(device_class: str, values: dict[str, Any]) -> None:
    both = Protocol(2, ("cpu", "gpu"), seconds=0.05)
    asked = replace(trial(**values), opencl=True, groups=find_groups(device_class))
    with TrialRunner() as runner:
        outcome = runner.run(asked, both)
    assert outcome.evaluation is not None, outcome.message
    check(outcome.evaluation)
    default, chosen = outcome.evaluation.times_us["gpu"]
    assert len(default) == len(chosen) >= both.least_turns
    assert min(*default, *chosen) > LEAST_US


def test_flat_numbers_are_the_evaluation() -> None:
    both = Protocol(2, ("cpu", "gpu"))
    evaluation = Evaluation((0.0, 0.5), {"cpu": ((1.0, 2.0), (3.0, 4.0)), "gpu": ((5.0,), (6.0,))})
    assert Evaluation.from_floats(evaluation.to_floats(), both) == evaluation


def fails_as_told(module: Any, to_device: Any, protocol: Protocol) -> Evaluation:
    if protocol.seconds == 1.0:
        os.abort()
    if protocol.seconds == 2.0:
        time.sleep(1000)
    if protocol.seconds == 3.0:
        raise InputError("not like this")
    return evaluate(module, to_device, protocol)


def test_a_failing_candidate_costs_only_itself() -> None:
    with TrialRunner(run_seconds=30.0, evaluator=fails_as_told) as runner:
        check(runner.run(trial(height=5), CPU).evaluation)
        assert runner.run(trial(height=5), Protocol(2, ("cpu",), 1.0)).status == "crash"
        runner._run_seconds = 3.0  # of the next worker, which hangs
        assert runner.run(trial(height=5), Protocol(2, ("cpu",), 2.0)).status == "timeout"
        runner._run_seconds = 30.0
        illegal = runner.run(trial(height=999), CPU)
        assert illegal.status == "build"
        assert "height=999" in illegal.message
        check(runner.run(trial(height=5), CPU).evaluation)


LEAST_VALUES = 20


def sees_numbers(module: Any, to_device: Any, protocol: Protocol) -> Evaluation:
    """Refuses tensors, outputs among them, that hold next to nothing to compare."""
    tensors: list[Any] = []

    def keep(array: Any) -> Any:
        tensors.append(to_device(array))
        return tensors[-1]

    evaluation = evaluate(module, keep, protocol)
    different = [len(set(tensor.numpy().flat)) for tensor in tensors]
    assert min(different) > LEAST_VALUES, different
    return evaluation


def test_integer_trials_compare_numbers() -> None:
    task = integer_task()
    assert "int8" in str(task.func)
    height = next(k for k in task.spaces["direct"].knobs if k.name == "height")
    other = min(value for value in height.values if value != height.default)
    with TrialRunner(evaluator=sees_numbers) as runner:
        outcome = runner.run(trial(task, height=other), CPU)
    assert outcome.evaluation is not None, outcome.message
    assert outcome.evaluation.errors == (0.0, 0.0)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "bool", "int32", "int64", "float16"])
def test_contents(dtype: str) -> None:
    values = drawn((40, 50), dtype, np.random.default_rng(0))
    assert (values.dtype, values.shape) == (dtype, (40, 50))
    different = {"int8": 256, "uint8": 256, "bool": 2, "int32": 1, "int64": 1}
    assert len(np.unique(values)) == different.get(dtype, len(np.unique(values)))
    assert (dtype in ("int32", "int64")) != values.any()


def test_measuring_on_a_board(board: Board) -> None:
    with TrialRunner(Remote.parse(board.rpc)) as runner:
        check(runner.run(trial(height=5), CPU).evaluation)


def test_a_trial_is_measured_again_when_the_link_drops(board: Board) -> None:
    with TrialRunner(Remote.parse(board.rpc)) as runner, once_it_serves(board, board.restart):
        outcome = runner.run(trial(height=4), replace(CPU, seconds=3.0))
    assert board.starts == 2
    check(outcome.evaluation)


def test_a_failure_of_this_side_costs_only_the_trial(board: Board) -> None:
    with TrialRunner(Remote.parse(board.rpc), evaluator=fails_as_told) as runner:
        died = runner.run(trial(height=5), Protocol(2, ("cpu",), 1.0))
        assert (died.status, died.message) == ("crash", "the measuring process died")
        refused = runner.run(trial(height=5), Protocol(2, ("cpu",), 3.0))
        assert (refused.status, refused.message) == ("error", "not like this")
        check(runner.run(trial(height=5), CPU).evaluation)


def test_a_trial_that_crashes_on_the_board(board: Board) -> None:
    with TrialRunner(Remote.parse(board.rpc)) as runner, once_it_serves(board, board.kill_session):
        outcome = runner.run(trial(height=4), replace(CPU, seconds=3.0))
    assert (outcome.status, outcome.evaluation) == ("crash", None)
    assert "ended by Killed" in outcome.message


def test_form_of_a_remote() -> None:
    assert Remote.parse("board:9090,phone") == Remote("board", 9090, "phone")
    assert Remote.parse("10.0.0.1:1") == Remote("10.0.0.1", 1)
    for text in ("board", ":1", "board:x", ""):
        with pytest.raises(InputError, match="HOST:PORT"):
            Remote.parse(text)
