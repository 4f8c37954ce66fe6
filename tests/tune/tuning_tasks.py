"""Small tasks to tune, and a stand-in for the device that times them by a formula."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from hetcomp.schedules.choice import Choice
from hetcomp.tune.evaluate import Evaluation, Protocol
from hetcomp.tune.loop import Stamp
from hetcomp.tune.outcome import Outcome
from hetcomp.tune.tasks import TuneTask
from hetcomp.tune.trial import Trial
from hetcomp.tuning import tasks_of

STAMP = Stamp("here", ("cpu",), "0", "0")


@cache
def small_model() -> onnx.ModelProto:
    """Two linear layers of different shape."""
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[60,48] x) => (float[60,40] y) '
        "{ h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }"
    )
    model = onnx.parser.parse_model(text)
    for name, shape in (("w", (48, 64)), ("v", (64, 40))):
        array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


@cache
def small_tasks() -> tuple[TuneTask, ...]:
    """The tasks of `small_model`."""
    return tasks_of(small_model())


@cache
def winograd_model() -> onnx.ModelProto:
    """A convolution that is computed by Winograd's method where nothing is said."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1,64,56,56] x) => (float[1,64,56,56] y) '
        "{ y = Conv<pads=[1,1,1,1]>(x, w) }"
    )
    array = np.random.default_rng(0).standard_normal((64, 64, 3, 3)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(array, "w"))
    return model


@cache
def integer_model() -> onnx.ModelProto:
    """A convolution in QDQ form."""
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (uint8[1,32,9,9] x) => (uint8[1,48,7,7] y) '
        "<float s = {0.02}, float t = {0.9}, uint8 z = {120}, int8 zero = {0}> "
        "{ xd = DequantizeLinear(x, s, z) wd = DequantizeLinear(w, s, zero) "
        "c = Conv(xd, wd) y = QuantizeLinear(c, t, z) }"
    )
    model = onnx.parser.parse_model(text)
    array = np.random.default_rng(0).integers(-128, 128, (48, 32, 3, 3), np.int8)
    model.graph.initializer.append(numpy_helper.from_array(array, "w"))
    return model


@cache
def integer_task() -> TuneTask:
    """The convolution of `integer_model`, on integers."""
    (task,) = tasks_of(integer_model())
    return task


Time = Callable[[Choice], float]


class FakeRunner:
    """Answers each trial with times by a formula of the choice; 100 us for the default."""

    def __init__(self, time_us: Time, error: Callable[[Choice], float] = lambda _: 0.0) -> None:
        self.time_us, self.error = time_us, error
        self.trials: list[Choice] = []

    def run(self, trial: Trial, protocol: Protocol) -> Outcome:
        """Times without noise."""
        arms = [Choice().with_values(values) for values in trial.choices]
        self.trials += arms[1:]
        times = tuple((self.time_us(arm),) * 8 for arm in arms)
        errors = tuple(self.error(arm) for arm in arms)
        return Outcome(Evaluation(errors, {"cpu": times}))


def any_runner(runner: FakeRunner) -> Any:
    """As what the loop expects."""
    return runner
