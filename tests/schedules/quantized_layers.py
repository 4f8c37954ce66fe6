"""Quantised layers at random, for hypothesis, with what NumPy's integers say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from kernel_harness import Array, make_model
from quantized_models import Grid, QuantizedLayer


def random_bytes(dtype: str, *shape: int) -> Array:
    """Always the same for a shape."""
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(sum(shape))
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def numbers(draw: Any, dtype: str, *shape: int) -> Array:
    """Values over the whole range of `dtype`, both ends likely."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max + 1, shape)
    ends = rng.choice([limits.min, limits.max], shape)
    return np.where(rng.random(shape) < 0.2, ends, values).astype(dtype)


@st.composite
def activation_grids(draw: Any) -> Grid:
    dtype = draw(st.sampled_from(["uint8", "uint8", "int8"]))
    limits = np.iinfo(dtype)
    points = (
        st.none()
        | st.sampled_from([limits.min, 0, limits.max])
        | st.integers(limits.min, limits.max)
    )
    point = draw(points)
    if point is None:
        dtype = "uint8"  # what QuantizeLinear makes without a zero point
    scale = np.float32(draw(st.floats(2.0**-10, 2.0**3, width=32)))
    return Grid(scale, None if point is None else np.asarray(point), dtype)


def weight_grid(draw: Any, channels: int) -> Grid:
    """One scale, or one per channel; unsigned weights with the point at 128, as signed ones."""
    per_channel = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = rng.uniform(0.001, 0.1, channels if per_channel else ()).astype(np.float32)
    dtype = draw(st.sampled_from(["int8", "int8", "uint8"]))
    if dtype == "int8" and draw(st.booleans()):
        return Grid(scale, None, dtype)
    point = np.full(scale.shape, 0 if dtype == "int8" else 128)
    return Grid(scale, point, dtype)


def finished(draw: Any, layer: QuantizedLayer) -> QuantizedLayer:
    """`layer` with a bias or none, a tail, and an output grid that uses the whole range."""
    channels = layer.w.shape[0] if layer.is_conv else layer.w.shape[-1]
    bias = numbers(draw, "int16", channels).astype(np.int32) if draw(st.booleans()) else None
    if layer.is_conv:  # a bias of products is on the grid of the products
        bias = None if bias is None else bias * 16
    spread = float(np.abs(layer.accumulators()).max(initial=1)) * float(layer.multiplier.max())
    y_grid = draw(activation_grids())
    scale = np.float32(spread / draw(st.floats(20, 600, width=32)))
    return QuantizedLayer(
        **{
            **vars(layer),
            "bias": bias,
            "relu": draw(st.booleans()),
            "y_grid": Grid(scale, y_grid.zero_point, y_grid.dtype),
        }
    )


@st.composite
def linear_layers(draw: Any) -> QuantizedLayer:
    m = draw(st.sampled_from([1, 2, 3, 13, 14, 15, 33]))
    n, k = draw(st.integers(1, 80)), draw(st.integers(1, 70))
    x_grid, w_grid = draw(activation_grids()), weight_grid(draw, n)
    x, w = numbers(draw, x_grid.dtype, m, k), numbers(draw, w_grid.dtype, k, n)
    return finished(draw, QuantizedLayer(x, w, x_grid, w_grid, x_grid))


@st.composite
def conv_layers(draw: Any, depthwise: bool = False) -> QuantizedLayer:
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    ins = groups * draw(st.sampled_from([1, 3, 4, 7, 8, 12, 16])) if groups == 1 else 8
    outs = groups * draw(st.sampled_from([1, 3, 16, 17, 33, 48]))
    if depthwise or draw(st.integers(0, 3)) == 0:
        groups = outs = ins = draw(st.sampled_from([1, 3, 8, 16, 17, 40]))
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    strides = [draw(st.integers(1, 2)) for _ in range(2)]
    dilations = [draw(st.integers(1, 2)) for _ in range(2)]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = [draw(st.integers(0, span)) for span in (*spans, *spans)]
    sizes = [
        draw(st.integers(max(1, span - sum(pads[i::2])), span + 17)) for i, span in enumerate(spans)
    ]
    x_grid, w_grid = draw(activation_grids()), weight_grid(draw, outs)
    x = numbers(draw, x_grid.dtype, draw(st.integers(1, 2)), ins, *sizes)
    w = numbers(draw, w_grid.dtype, outs, ins // groups, *kernel)
    layer = QuantizedLayer(
        x, w, x_grid, w_grid, x_grid,
        strides=strides, pads=pads, dilations=dilations, groups=groups,
    )  # fmt: skip
    return finished(draw, layer)


@st.composite
def attention_products(draw: Any) -> tuple[onnx.ModelProto, dict[str, Array], Array]:
    """A product of two computed tensors, either perhaps transposed or with fewer batch axes."""
    batch, m, n, k = (draw(st.integers(1, limit)) for limit in (3, 30, 40, 40))
    grids = [draw(activation_grids()) for _ in range(2)]
    shared = draw(st.booleans())
    a = numbers(draw, grids[0].dtype, batch, m, k)
    b = numbers(draw, grids[1].dtype, *(() if shared else (batch,)), k, n)
    return product_of(a, b, grids, transposed=draw(st.booleans()))


def product_of(
    a: Array, b: Array, grids: Sequence[Grid], *, transposed: bool
) -> tuple[onnx.ModelProto, dict[str, Array], Array]:
    """`a @ b`; the model gets `b` with its last axes exchanged where it is `transposed`."""
    centred = [v.astype(np.int64) - g.points for v, g in zip((a, b), grids, strict=True)]
    sums = centred[0] @ centred[1]
    scales = np.float32(grids[0].scale) * np.float32(grids[1].scale)
    scale = np.float32(max(1, np.abs(sums).max()) * scales / 100)
    out = Grid(scale, np.asarray(100), "uint8")
    scaled = sums.astype(np.int32).astype(np.float32) * np.float32(scales / scale)
    expected = np.clip(np.rint(scaled) + 100, 0, 255).astype(np.uint8)
    fed = np.ascontiguousarray(np.swapaxes(b, -1, -2)) if transposed else b
    axes = ",".join(map(str, [*range(b.ndim - 2), b.ndim - 1, b.ndim - 2]))
    turn = f"t = Transpose<perm=[{axes}]>(bd)" if transposed else "t = Identity(bd)"
    text = (
        f"g ({grids[0].dtype}[{_dims(a.shape)}] a, {grids[1].dtype}[{_dims(fed.shape)}] b) => "
        f"(uint8[{_dims(expected.shape)}] y) {{ ad = DequantizeLinear(a, {grids[0].arguments('a')})"
        f" bd = DequantizeLinear(b, {grids[1].arguments('b')}) {turn} p = MatMul(ad, t) "
        f"y = QuantizeLinear(p, {out.arguments('y')}) }}"
    )
    weights = grids[0].weights("a") | grids[1].weights("b") | out.weights("y")
    return make_model(text, weights), {"a": a, "b": fed}, expected


def _dims(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))
