"""The approximations of exp, log, tanh, erf and sigmoid against float64, over all useful floats."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from kernel_harness import HOST
from tvm import tirx

from hetcomp.schedules import math as approximations
from hetcomp.schedules.blocks.frame import Frame, Param, build_kernel

Floats = npt.NDArray[np.float32]
COUNT = 1 << 18
"""Elements of one call."""

RELATIVE = 2e-7
ABSOLUTE = 4e-7
"""What the docstring of `hetcomp.schedules.math` states."""


@lru_cache(maxsize=8)
def compiled(name: str) -> Callable[..., Any]:
    def body(frame: Frame) -> None:
        x, y = frame.buffers
        function = approximations.APPROXIMATIONS[f"tirx.{name}"]
        with frame.tiles():
            frame.vector_loop(COUNT, lambda i: frame.store(y, i, function(x[i])))

    params = [Param(COUNT, "float32")] * 2
    module = tvm.compile(
        tvm.IRModule({"f": build_kernel("f", params, HOST.cpu, body)}), target=HOST.llvm
    )
    return (module.mod if hasattr(module, "mod") else module)["f"]  # type: ignore[no-any-return]


def evaluate(name: str, x: npt.ArrayLike) -> Floats:
    values = np.asarray(x, np.float32)
    assert values.size <= COUNT
    padded = np.zeros(COUNT, np.float32)
    padded[: values.size] = values
    out = np.full(COUNT, np.nan, np.float32)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (padded, out)]
    compiled(name)(*pointers, 0, 1, 0, 1)
    return out[: values.size]


def dense(low: float, high: float) -> Floats:
    """Evenly spread floats, the ends included."""
    return np.linspace(low, high, COUNT, dtype=np.float32)


def every_exponent(low: float, high: float) -> Floats:
    """Floats spread evenly over the binary exponents of a positive range."""
    bits = np.asarray([low, high], np.float32).view(np.int32)
    return np.linspace(bits[0], bits[1], COUNT).astype(np.int32).view(np.float32)


def relative(got: Floats, x: Floats, reference: Callable[..., Any]) -> float:
    exact = reference(x.astype(np.float64))
    return float(np.abs(got / exact - 1).max())


def absolute(got: Floats, x: Floats, reference: Callable[..., Any]) -> float:
    return float(np.abs(got - reference(x.astype(np.float64))).max())


def erf64(x: Any) -> Any:
    return np.array([math.erf(value) for value in x])


def sigmoid64(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("span", [1e-3, 1.0, 20.0, 86.9])
def test_exp(span: float) -> None:
    x = dense(-span, span)
    assert relative(evaluate("exp", x), x, np.exp) <= RELATIVE


def test_exp_up_to_the_largest_float() -> None:
    x = dense(86.0, 88.722)
    assert relative(evaluate("exp", x), x, np.exp) <= RELATIVE


def test_log() -> None:
    x = every_exponent(1.2e-38, 3.4e38)
    x = x[np.abs(x - 1) > 0.5]
    assert relative(evaluate("log", x), x, np.log) <= RELATIVE


def test_log_near_one() -> None:
    x = dense(0.5, 1.5)
    x = x[x != 1]
    assert relative(evaluate("log", x), x, np.log) <= RELATIVE


@pytest.mark.parametrize(
    ("name", "reference"), [("tanh", np.tanh), ("erf", erf64), ("sigmoid", sigmoid64)]
)
@pytest.mark.parametrize("span", [1e-3, 1.0, 5.0, 100.0])
def test_s_shaped(name: str, reference: Callable[..., Any], span: float) -> None:
    x = dense(-span, span)
    assert absolute(evaluate(name, x), x, reference) <= ABSOLUTE


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_odd_and_bounded(name: str) -> None:
    x = dense(0.0, 12.0)
    y = evaluate(name, x)
    assert (y == -evaluate(name, -x)).all()
    assert np.abs(y).max() <= 1 + ABSOLUTE


SPECIAL = {
    "exp": ([0.0, -0.0, 89.0, 1e30, np.inf, -200.0, -np.inf], [1, 1, np.inf, np.inf, np.inf, 0, 0]),
    "log": ([1.0, 0.0, -0.0, np.inf], [0, -np.inf, -np.inf, np.inf]),
    "tanh": ([0.0, np.inf, -np.inf, 1e30], [0, 1, -1, 1]),
    "erf": ([0.0, np.inf, -np.inf, 1e30], [0, 1, -1, 1]),
    "sigmoid": ([0.0, np.inf, -np.inf, 1e30], [0.5, 1, 0, 1]),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str) -> None:
    arguments, expected = SPECIAL[name]
    np.testing.assert_allclose(evaluate(name, arguments), expected, rtol=RELATIVE, atol=ABSOLUTE)


@pytest.mark.parametrize("name", SPECIAL)
def test_nan_stays_nan(name: str) -> None:
    assert np.isnan(evaluate(name, [np.nan] * 33)).all()


def test_log_of_negative_numbers() -> None:
    assert np.isnan(evaluate("log", [-1.0, -1e-30, -np.inf])).all()


def test_log_of_subnormal_numbers_is_that_of_the_smallest_normal_ones() -> None:
    y = evaluate("log", [1e-45, 1e-39, 1e-38])
    assert ((y > -88.1) & (y < -87.3)).all()


def test_every_approximation_is_tested() -> None:
    assert set(approximations.APPROXIMATIONS) == {f"tirx.{name}" for name in SPECIAL}


def test_expressions_are_float32() -> None:
    x = tirx.Var("x", "float32")
    for function in approximations.APPROXIMATIONS.values():
        assert str(function(x).ty.dtype) == "float32"
