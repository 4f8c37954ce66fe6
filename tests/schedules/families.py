"""Random layers of every kernel family, as strategies of hypothesis that draw a `Case`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from attention_family import attention
from hypothesis import assume
from hypothesis import strategies as st
from kernel_harness import Array, make_model
from layer_case import (
    CONSTANTS,
    EPS,
    RANGES,
    TAILS,
    TINY,
    Case,
    Expected,
    dims,
    finish,
    largest,
    operands,
    poison,
    product,
    total,
    values,
    wider,
)


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
    # Where all windows are padding alone the sums are known, and no kernel of ours is chosen.
    assume(convolve(np.ones_like(wide_x), np.ones_like(wide_w), window).any())
    with np.errstate(invalid="ignore"):
        exact = convolve(wide_x, wide_w, window)
        magnitude = convolve(np.abs(wide_x), np.abs(wide_w), window)
    base = total(exact, magnitude, w[0].size, largest(x, w))
    return finish(
        draw, f"a = Conv<{window.attributes}>(x, w)", f"float[{dims(*x.shape)}] x", base,
        {"w": w}, {"x": x}, {"depthwise", "conv2d"} if groups == ins == outs else {"conv2d"}, given,
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
    shape = [draw(st.integers(1, 30)) for _ in range(draw(st.integers(0, 2)))]
    shape.append(draw(st.one_of(st.integers(1, 30), st.sampled_from([64, 96, 256]))))
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
    "attention": attention(),
    "layer norm": layer_norm(),
    "reduction": reduction(),
    "pool": pool(),
    "pointwise": pointwise(),
    "move": move(),
}
