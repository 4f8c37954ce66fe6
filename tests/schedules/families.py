"""Random layers of every kernel family with what they must give: f64 NumPy, and how far off is ok.

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


@st.composite
def linear(draw: Any) -> Case:
    given = draw(operands())
    m, k = draw(st.integers(1, 70)), draw(st.integers(1, 40))
    n = draw(st.one_of(st.integers(1, 70), st.integers(200, 300)))
    x, w = given.draw((m, k), 0), given.draw((k, n), 1)
    return finish(
        draw, "a = MatMul(x, w)", f"float[{m},{k}] x", product(x, w), {"w": w}, {"x": x},
        {"linear"}, given, out_shape=(m, n),
    )  # fmt: skip


@st.composite
def matmul(draw: Any) -> Case:
    given = draw(operands())
    batch = draw(st.integers(1, 4))
    m, n, k = (draw(st.integers(1, 60)) for _ in range(3))
    transposed = draw(st.booleans())
    a, b = given.draw((batch, m, k), 0), given.draw((batch, k, n), 1)
    stored = np.ascontiguousarray(b.transpose(0, 2, 1)) if transposed else b
    text = "t = Transpose<perm=[0,2,1]>(v) a = MatMul(u, t)" if transposed else "a = MatMul(u, v)"
    head = f"float[{dims(*a.shape)}] u, float[{dims(*stored.shape)}] v"
    return finish(
        draw, text, head, product(a, b), {}, {"u": a, "v": stored}, {"matmul"}, given,
        out_shape=(batch, m, n),
    )  # fmt: skip


@dataclass(frozen=True)
class Window:
    """Where a convolution looks."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    groups: int

    @property
    def attributes(self) -> str:
        """As ONNX spells them."""
        return (
            f"pads=[{dims(*self.pads)}], strides=[{dims(*self.strides)}], "
            f"dilations=[{dims(*self.dilations)}], group={self.groups}"
        )


def convolve(x: Array, w: Array, window: Window, fill: float = 0.0) -> Array:
    """NCHW convolution in f64, a tap at a time."""
    top, left, bottom, right = window.pads
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    spans = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilations, strict=True)]
    height, width = ((padded.shape[2 + i] - spans[i]) // window.strides[i] + 1 for i in range(2))
    batch, outs = x.shape[0], w.shape[0]
    result = np.zeros((batch, outs, height, width))
    per_in, per_out = w.shape[1], outs // window.groups
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            y0, x0 = i * window.dilations[0], j * window.dilations[1]
            seen = padded[
                :, :,
                y0 : y0 + (height - 1) * window.strides[0] + 1 : window.strides[0],
                x0 : x0 + (width - 1) * window.strides[1] + 1 : window.strides[1],
            ]  # fmt: skip
            for group in range(window.groups):
                ins = slice(group * per_in, (group + 1) * per_in)
                to = slice(group * per_out, (group + 1) * per_out)
                result[:, to] += np.einsum("bchw,oc->bohw", seen[:, ins], w[to, :, i, j])
    return result


@st.composite
def convolution(draw: Any, for_winograd: bool = False) -> Case:
    """Any window; or 3x3 with as many channels as Winograd's method asks for."""
    given = draw(operands())
    groups = 1 if for_winograd else draw(st.sampled_from([1, 1, 1, 2, 3]))
    ins, outs = (groups * draw(st.integers(1, 40 // groups)) for _ in range(2))
    if for_winograd:
        ins, outs = ins + 8, outs + 16
    depthwise = not for_winograd and draw(st.integers(0, 3)) == 0
    if depthwise:
        groups = outs = ins
    one_to_three = st.just(1) if for_winograd else st.integers(1, 3)
    kernel = (3, 3) if for_winograd else (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    strides = (draw(one_to_three), draw(one_to_three))
    dilations = (draw(one_to_three), draw(one_to_three))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = [draw(st.integers(0, span)) for span in (*spans, *spans)]
    sizes = [
        draw(st.integers(max(1, span - sum(pads[axis::2])), span + 20))
        for axis, span in enumerate(spans)
    ]
    window = Window(kernel, strides, dilations, tuple(pads), groups)
    x = given.draw((draw(st.integers(1, 2)), ins, *sizes), 0)
    w = given.draw((outs, ins // groups, *kernel), 1)
    wide_x, wide_w = x.astype(np.float64), w.astype(np.float64)
    with np.errstate(invalid="ignore"):
        exact = convolve(wide_x, wide_w, window)
        magnitude = convolve(np.abs(wide_x), np.abs(wide_w), window)
    base = total(exact, magnitude, w[0].size, largest(x, w))
    return finish(
        draw, f"a = Conv<{window.attributes}>(x, w)", f"float[{dims(*x.shape)}] x", base,
        {"w": w}, {"x": x}, {"depthwise", "conv2d"} if depthwise else {"conv2d"}, given,
        out_shape=exact.shape,
    )  # fmt: skip


def plain(
    text: str, x: Array, expected: Expected, kinds: set[str] | None = None,
    weights: dict[str, Any] | None = None, special: bool = False,
) -> Case:  # fmt: skip
    """A case of one input and one output without a drawn tail."""
    head, out = f"float[{dims(*x.shape)}] x", f"float[{dims(*expected.exact.shape)}] y"
    model = make_model(f"g ({head}) => ({out}) {{ {text} }}", weights or {})
    return Case(model, {"x": x}, (expected,), frozenset(kinds or {"rowwise"}), special)


@st.composite
def softmax(draw: Any) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = [draw(st.integers(1, 40)) for _ in range(draw(st.integers(1, 3)))]
    axis = draw(st.integers(0, len(shape) - 1))
    x = values(rng, shape, draw(st.sampled_from(RANGES)))
    wide = x.astype(np.float64)
    shifted = wide - wide.max(axis=axis, keepdims=True)
    exact = np.exp(shifted) / np.exp(shifted).sum(axis=axis, keepdims=True)
    relative = (np.minimum(-shifted, 110.0) + shape[axis] + 16) * EPS
    return plain(f"y = Softmax<axis={axis}>(x)", x, Expected(exact, relative * exact + TINY))


@st.composite
def layer_norm(draw: Any) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, n = draw(st.integers(1, 20)), draw(st.integers(2, 70))
    x = np.asarray(
        rng.standard_normal((rows, n)) * 2.0 ** draw(st.integers(-8, 16))
        + draw(st.sampled_from([0.0, 3.0])),
        np.float32,
    )
    s, b = values(rng, (n,), "normal"), values(rng, (n,), "normal")
    wide = x.astype(np.float64)
    mean = wide.mean(axis=1, keepdims=True)
    deviation = np.sqrt(((wide - mean) ** 2).mean(axis=1, keepdims=True) + 1e-5)
    exact = (wide - mean) / deviation * s + b
    spread = np.abs(wide).max(axis=1, keepdims=True) / deviation
    bound = (n + 16) * EPS * (spread * (1.0 + spread) ** 2 * np.abs(s) + np.abs(b) + 1.0)
    return plain(
        "y = LayerNormalization<axis=-1>(x, s, b)",
        x,
        Expected(exact, bound),
        weights={"s": s, "b": b},
    )


@st.composite
def reduction(draw: Any) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = [draw(st.integers(1, 30)) for _ in range(draw(st.integers(1, 3)))]
    axes = tuple(sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    name = draw(st.sampled_from(["ReduceMean", "ReduceMax", "ReduceMin"]))
    x = values(rng, shape, draw(st.sampled_from(RANGES)))
    wide = x.astype(np.float64)
    if name == "ReduceMean":
        count = math.prod(shape[axis] for axis in axes)
        magnitude = np.abs(wide).sum(axis=axes, keepdims=True)
        found = total(wide.sum(axis=axes, keepdims=True), magnitude, count, 1.0)
        expected = wider(found, found.exact / count, 1.0 / count)
    else:
        exact = getattr(wide, "max" if name == "ReduceMax" else "min")(axis=axes, keepdims=True)
        expected = Expected(exact, np.zeros_like(exact))
    return plain(f"y = {name}<axes=[{dims(*axes)}], keepdims=1>(x)", x, expected)


@st.composite
def pool(draw: Any) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = draw(st.integers(1, 40))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    strides = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    # ONNX wants pads below the kernel's size.
    pads = tuple(draw(st.integers(0, k - 1)) for k in (*kernel, *kernel))
    sizes = [k + draw(st.integers(0, 14)) for k in kernel]
    x = values(rng, (draw(st.integers(1, 2)), channels, *sizes), draw(st.sampled_from(RANGES)))
    window = Window(kernel, strides, (1, 1), pads, channels)
    wide, taps = x.astype(np.float64), np.ones((channels, 1, *kernel))
    attributes = f"kernel_shape=[{dims(*kernel)}], strides=[{dims(*strides)}], pads=[{dims(*pads)}]"
    if draw(st.booleans()):
        exact = pooled_maximum(wide, window)
        expected = Expected(exact, np.zeros_like(exact))
        return plain(f"y = MaxPool<{attributes}>(x)", x, expected)
    count = convolve(np.ones_like(wide), taps, window)
    found = total(
        convolve(wide, taps, window), convolve(np.abs(wide), taps, window), math.prod(kernel), 1.0
    )
    expected = wider(found, found.exact / count, 1.0)
    return plain(f"y = AveragePool<{attributes}>(x)", x, expected)


def pooled_maximum(x: Array, window: Window) -> Array:
    top, left, bottom, right = window.pads
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
    views = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, axis=(2, 3))
    return np.asarray(views[:, :, :: window.strides[0], :: window.strides[1]].max(axis=(-2, -1)))


@st.composite
def pointwise(draw: Any) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = [draw(st.integers(1, 40)) for _ in range(draw(st.integers(1, 3)))]
    x = values(rng, shape, draw(st.sampled_from(RANGES)))
    wide = x.astype(np.float64)
    name = draw(st.sampled_from(sorted(TAILS)))
    nodes, function = TAILS[name]
    words = set("".join(c if c.isalnum() else " " for c in nodes).split())
    weights = {key: value for key, value in CONSTANTS.items() if key in words}
    expected = function(Expected(wide, np.where(np.abs(wide) < TINY, TINY, 0.0)))
    return plain(f"z = Neg(x) {nodes}", -x, expected, {"elementwise", "rowwise"}, weights)


@st.composite
def move(draw: Any) -> Case:
    """Values that only change place: every bit must arrive, NaN and infinities included."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = [draw(st.integers(1, 12)) for _ in range(4)]
    x = poison(rng, values(rng, shape, draw(st.sampled_from(RANGES))))
    which = draw(st.sampled_from(["transpose", "concat", "pad"]))
    if which == "transpose":
        perm = draw(st.permutations(range(4)))
        text, exact = f"y = Transpose<perm=[{dims(*perm)}]>(x)", x.transpose(perm)
    elif which == "concat":
        axis = draw(st.integers(0, 3))
        text, exact = f"y = Concat<axis={axis}>(x, x, x)", np.concatenate([x, x, x], axis)
    else:
        pads = [draw(st.integers(0, 3)) for _ in range(8)]
        exact = np.pad(x, [(pads[i], pads[4 + i]) for i in range(4)])
        values_text = ",".join(map(str, pads))
        text = f"p = Constant<value = int64[8] {{{values_text}}}>() y = Pad(x, p)"
    wide = exact.astype(np.float64)
    expected = Expected(wide, np.zeros(wide.shape))
    return plain(text, x, expected, {"elementwise", "rowwise", "opaque"}, special=True)


FAMILIES: dict[str, Any] = {
    "linear": linear(),
    "matmul": matmul(),
    "convolution": convolution(),
    "convolution for Winograd": convolution(for_winograd=True),
    "softmax": softmax(),
    "layer norm": layer_norm(),
    "reduction": reduction(),
    "pool": pool(),
    "pointwise": pointwise(),
    "move": move(),
}


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
