"""A random layer with its tail: what it must give by f64 NumPy, and how far off is ok.

A case is an ONNX model of one layer with its tail, inputs, the exact outputs and a bound for the
error of each element. Sums of k products may be off by some multiple of k rounding errors of the
sum of magnitudes; where that sum is beyond float32, anything goes. Subnormal numbers may count as
zero. Ranges of values go from subnormal to near overflow, NaN and infinities included where stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from kernel_harness import Array, make_model

EPS = 2.0**-24
"""Largest relative error of one float32 operation."""
TINY = 2.0**-126
"""Smallest normal float32."""
LARGEST = 3.0e38
FUNCTION = 5e-7
"""Error of our exp (relative), tanh, erf and sigmoid (absolute), see `test_math`."""
WINOGRAD = 16.0
"""Error of Winograd's method over the largest bound of the layer: its transforms mix neighbours."""


@dataclass(frozen=True)
class Expected:
    """Exact values, and the allowed absolute error of each; infinite where anything goes."""

    exact: Array
    bound: Array


@dataclass(frozen=True)
class Case:
    """One layer.

    Attributes
    ----------
    model, feeds
        The layer and its inputs.
    outputs
        What every output must be.
    kinds
        Kernel families of which it must have one.
    special
        Whether inputs have NaN or infinities.
    """

    model: onnx.ModelProto
    feeds: Mapping[str, Array]
    outputs: tuple[Expected, ...]
    kinds: frozenset[str]
    special: bool = False

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What hypothesis prints; its blob reproduces the numbers."""
        del cycle
        nodes = " ".join(node.op_type for node in self.model.graph.node)
        shapes = [array.shape for array in self.feeds.values()]
        printer.text(f"Case({nodes} of {shapes}{', special' if self.special else ''})")


def dims(*values: int) -> str:
    return ",".join(map(str, values))


RANGES = ("normal", "wide", "subnormal", "large", "zeros")


def values(rng: np.random.Generator, shape: Sequence[int], kind: str) -> Array:
    """Random float32 numbers of one of `RANGES`."""
    normal = rng.standard_normal(shape)
    if kind == "wide":
        normal = normal * np.exp2(rng.integers(-30, 30, shape))
    elif kind == "subnormal":
        normal = normal * np.where(rng.random(shape) < 0.7, 1e-39, 1e-19)
    elif kind == "large":
        normal = normal * 1e18
    elif kind == "zeros":
        normal = np.where(rng.random(shape) < 0.8, np.copysign(0.0, normal), normal)
    return np.asarray(normal, np.float32)


def poison(rng: np.random.Generator, array: Array) -> Array:
    """`array` with a few NaN and infinities."""
    flat = array.reshape(-1).copy()
    for value in (np.nan, np.inf, -np.inf):
        flat[rng.integers(0, flat.size)] = value
    return flat.reshape(array.shape)


def total(exact: Array, magnitude: Array, terms: int, largest: float) -> Expected:
    """A sum of `terms` products of operands up to `largest`, of which it may flush subnormals."""
    flushed = TINY * terms * (2.0 + 2.0 * largest)
    bound = (terms + 4) * EPS * magnitude + flushed
    return Expected(exact, np.where(magnitude < LARGEST, bound, np.inf))


def wider(expected: Expected, exact: Array, slope: float, extra: Any = 0.0) -> Expected:
    """`expected` behind a function of at most `slope` with the exact values `exact`."""
    with np.errstate(invalid="ignore", over="ignore"):
        bound = slope * expected.bound + extra + 4 * EPS * np.abs(exact) + TINY
        fits = np.abs(exact) < LARGEST
    return Expected(exact, np.where(fits, bound, np.inf))


def sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-x)))


erf = np.vectorize(math.erf, otypes=[np.float64])

GELU = (
    "d = Div(z, root) e = Erf(d) o = Add(e, one) g = Mul(z, o) y = Mul(g, half)",
    lambda e: wider(
        e,
        e.exact * 0.5 * (1.0 + erf(e.exact / math.sqrt(2.0))),
        1.2,
        FUNCTION * np.abs(e.exact),
    ),
)
TAILS: dict[str, tuple[str, Callable[[Expected], Expected]]] = {
    "relu": ("y = Relu(z)", lambda e: wider(e, np.maximum(e.exact, 0.0), 1.0)),
    "clip": ("y = Clip(z, zero, six)", lambda e: wider(e, np.clip(e.exact, 0.0, 6.0), 1.0)),
    "leaky": (
        "y = LeakyRelu<alpha=0.125>(z)",
        lambda e: wider(e, np.where(e.exact < 0.0, 0.125 * e.exact, e.exact), 1.0),
    ),
    "sigmoid": ("y = Sigmoid(z)", lambda e: wider(e, sigmoid(e.exact), 0.25, FUNCTION)),
    "tanh": ("y = Tanh(z)", lambda e: wider(e, np.tanh(e.exact), 1.0, FUNCTION)),
    "silu": (
        "s = Sigmoid(z) y = Mul(z, s)",
        lambda e: wider(e, e.exact * sigmoid(e.exact), 1.1, FUNCTION * np.abs(e.exact)),
    ),
    "hard swish": (
        "y = HardSwish(z)",
        lambda e: wider(
            e,
            e.exact * np.clip(e.exact / 6.0 + 0.5, 0.0, 1.0),
            1.5,
            4 * EPS * np.abs(e.exact),
        ),
    ),
    "gelu": GELU,
}
"""From `z` to `y`: nodes, and what they do to exact values and bounds."""
CONSTANTS: dict[str, Any] = {
    "zero": np.float32(0),
    "six": np.float32(6),
    "one": np.float32(1),
    "half": np.float32(0.5),
    "root": np.float32(math.sqrt(2.0)),
}


@dataclass(frozen=True)
class Operands:
    """What a layer reads, in f64, with magnitudes."""

    rng: np.random.Generator
    ranges: tuple[str, str]
    special: bool

    def draw(self, shape: Sequence[int], which: int) -> Array:
        """Operand number `which` (0: activations, 1: weights)."""
        array = values(self.rng, shape, self.ranges[which])
        return poison(self.rng, array) if self.special and which == 0 and array.size > 9 else array


@st.composite
def operands(draw: Any) -> Operands:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    special = draw(st.integers(0, 5)) == 0
    ranges = (draw(st.sampled_from(RANGES)), draw(st.sampled_from(RANGES)))
    return Operands(rng, ("normal", "normal") if special else ranges, special)


def finish(
    draw: Any, text: str, head: str, base: Expected, weights: dict[str, Any], feeds: dict[str, Any],
    kinds: set[str], given: Operands, *, out_shape: Sequence[int],
) -> Case:  # fmt: skip
    """The case with bias, residual and activation drawn; `text` computes `a`."""
    expected, nodes, inputs = base, text, head
    previous = "a"
    if draw(st.booleans()):
        channel_axis = 1 if len(out_shape) == 4 else len(out_shape) - 1
        shape = [1] * len(out_shape)
        shape[channel_axis] = out_shape[channel_axis]
        bias = values(given.rng, shape, "normal")
        weights["bias"] = bias
        nodes += f" b = Add({previous}, bias)"
        expected = added(expected, bias)
        previous = "b"
    if draw(st.integers(0, 2)) == 0:
        residual = values(given.rng, out_shape, "normal")
        feeds["r"] = residual
        inputs += f", float[{dims(*out_shape)}] r"
        nodes += f" c = Add({previous}, r)"
        expected = added(expected, residual)
        previous = "c"
    tail = None if given.special else draw(st.sampled_from([None, *TAILS]))
    if tail is None:
        nodes += f" y = Identity({previous})"
    else:
        tail_nodes, function = TAILS[tail]
        nodes += f" z = Identity({previous}) {tail_nodes}"
        expected = function(expected)
        words = set("".join(c if c.isalnum() else " " for c in tail_nodes).split())
        weights |= {name: value for name, value in CONSTANTS.items() if name in words}
    model = make_model(f"g ({inputs}) => (float[{dims(*out_shape)}] y) {{ {nodes} }}", weights)
    return Case(model, feeds, (expected,), frozenset(kinds), given.special)


def added(expected: Expected, term: Array) -> Expected:
    """`expected` plus an operand of its shape, or one that broadcasts."""
    wide = term.astype(np.float64)
    rounding = 2 * EPS * (np.abs(expected.exact) + np.abs(wide))
    return wider(expected, expected.exact + wide, 1.0, rounding)


def product(x: Array, w: Array) -> Expected:
    """`x @ w` in f64."""
    wide_x, wide_w = x.astype(np.float64), w.astype(np.float64)
    with np.errstate(invalid="ignore"):
        exact, magnitude = wide_x @ wide_w, np.abs(wide_x) @ np.abs(wide_w)
    return total(exact, magnitude, x.shape[-1], largest(x, w))


def largest(*arrays: Array) -> float:
    return float(max(np.abs(a[np.isfinite(a)]).max(initial=0.0) for a in arrays))


def assert_within(case: Case, got: Sequence[Array], *, winograd: bool = False) -> None:
    """Compare every output with the exact one, element by element."""
    for output, expected in zip(got, case.outputs, strict=True):
        assert output.shape == expected.exact.shape
        bound = expected.bound
        if winograd:
            finite = np.isfinite(bound) & np.isfinite(expected.exact)
            scale = float(np.abs(expected.exact[finite]).max(initial=0.0))
            if case.special or not finite.all() or scale > 1e30:
                continue  # the transforms overflow earlier than sums do
            bound = bound + WINOGRAD * float(np.max(bound))
        _compare(output.astype(np.float64), expected.exact, bound)


def _compare(got: Array, exact: Array, bound: Array) -> None:
    strict = ~np.isposinf(bound)
    special = strict & ~np.isfinite(exact)
    np.testing.assert_array_equal(got[special], exact[special], err_msg="NaN or infinity")
    ordinary = strict & np.isfinite(exact)
    with np.errstate(invalid="ignore"):
        wrong = ordinary & ~(np.abs(got - exact) <= bound)  # also where `got` is NaN
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{int(wrong.sum())} of {wrong.size} elements are off; first at {at}: got {got[at]!r}, "
            f"expected {exact[at]!r} within {bound[at]:.3g}"
        )
