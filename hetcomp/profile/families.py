"""Families of layers and the ranges of their sizes.

The ranges cover common networks at their usual image sizes and sequence lengths; no network's own
shapes are in here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetcomp.profile.draw import Axis, Choice, Size, cube, sizes_at
from hetcomp.profile.layers import Layer
from hetcomp.profile.movers import Concat, Elementwise, LayerNorm, Pool, Resize, Softmax, Transpose
from hetcomp.profile.products import Attention, Conv2d, Depthwise, Grouped, Linear, MatMul
from hetcomp.profile.quantized import (
    QuantizedAdd,
    QuantizedConv2d,
    QuantizedDepthwise,
    QuantizedLinear,
)

__all__ = ["FAMILIES", "Family", "Point", "draw"]

_MOST_FLOPS = 2e9
"""Some 20 ms on one core; beyond, time grows with the work and nothing new is seen."""
_MOST_MOVED = 1 << 22
"""16 MB: more than any second-level cache."""
_LEAST_MOVED = 1 << 9
_LARGE = 1 << 16
"""256 KB, as most of a network's tasks move that take its time."""
_SMALL_EVERY = 3
"""One layer of so many moves less."""
_ACTIVATIONS = Choice((0, 0, 1, 1, 1, 2, 3, 4, 5))
_CANDIDATES = 16
"""Points drawn for one that is wanted: many are out of range."""


@dataclass(frozen=True)
class Family:
    """Layers of one kind.

    Attributes
    ----------
    name
        Of the layers.
    axes
        What is drawn.
    make
        The layer of these sizes.
    weight
        How often it is drawn, before anything is known of its errors.
    """

    name: str
    axes: tuple[Axis, ...]
    make: Callable[..., Layer]
    weight: float = 1.0


@dataclass(frozen=True)
class Point:
    """A drawn layer: its family, and where in the family's unit cube it lies."""

    family: str
    layer: Layer
    place: tuple[float, ...]


def draw(family: Family, n: int, rng: np.random.Generator) -> list[Point]:
    """About `n` layers of a family, spread over those whose work is in range."""
    found = list(_in_range(family, cube(_CANDIDATES * n, len(family.axes), rng)))
    shuffled = [found[i] for i in rng.permutation(len(found))]
    small = [point for point in shuffled if _moved(point.layer) < _LARGE]
    large = [point for point in shuffled if _moved(point.layer) >= _LARGE]
    few = max(n // _SMALL_EVERY, n - len(large))
    chosen = small[:few] + large[: n - len(small[:few])]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _in_range(family: Family, points: Any) -> Iterator[Point]:
    for point in points:
        layer = family.make(*sizes_at(family.axes, point))
        if layer.flops <= _MOST_FLOPS and _LEAST_MOVED <= _moved(layer) <= _MOST_MOVED:
            yield Point(family.name, layer, tuple(map(float, point)))


def _moved(layer: Layer) -> int:
    return layer.activations + layer.weights


def _square(kind: Callable[..., Layer]) -> Callable[..., Layer]:
    """Most images are square; `shape` 1 halves the height, 2 is a sequence of pixels."""

    def make(size: int, shape: int, *others: int) -> Layer:
        height = {0: size, 1: max(1, size // 2), 2: 1}[shape]
        return kind(height, size, *others)

    return make


_SHAPES = Choice((0,) * 8 + (1,))
_IMAGE = Size(7, 320, odd=0.0)
_CHANNELS = Size(8, 2048, 8, odd=0.15)
_CONVOLUTION: tuple[Axis, ...] = (
    *(_IMAGE, _SHAPES, Size(3, 2048, 8, 0.15), _CHANNELS, Choice((1, 1, 1, 3, 3, 3, 5, 7))),
    *(Choice((1, 1, 1, 2)), _ACTIVATIONS, Choice((0, 0, 0, 1))),
)
_DEPTHWISE: tuple[Axis, ...] = (
    *(_IMAGE, _SHAPES, Size(8, 1536, 8, 0.1), Choice((3, 3, 5)), Choice((1, 1, 2))),
    _ACTIVATIONS,
)


def _pool(size: int, shape: int, channels: int, window: int) -> Layer:
    kernel, stride, mode = ((0, 1, 1), (2, 2, 0), (3, 2, 0), (3, 1, 1), (5, 1, 0), (2, 2, 1),
                            (3, 1, 0), (0, 1, 1))[window]  # fmt: skip
    return _square(Pool)(size, shape, channels, kernel, stride, mode)


FAMILIES: Sequence[Family] = (
    Family(
        "conv2d",
        _CONVOLUTION,
        _square(Conv2d),
        weight=6.0,
    ),
    Family(
        "depthwise",
        _DEPTHWISE,
        _square(Depthwise),
        weight=1.5,
    ),
    Family(
        "linear",
        (Size(1, 1024, odd=0.0), Size(16, 8192, 16, 0.1), Size(8, 16384, 8, 0.15), _ACTIVATIONS),
        Linear,
        weight=3.0,
    ),
    Family("gemv", (Size(16, 8192, 16, 0.1), Size(8, 16384, 8, 0.15), _ACTIVATIONS),
           lambda depth, columns, activation: Linear(1, depth, columns, activation)),
    Family("matmul", (Choice((1, 1, 4, 8, 12, 16)), Size(1, 512), Size(16, 1024, 8, 0.2),
                      Size(8, 1024, 8, 0.2)), MatMul),
    Family("attention", (Choice((1, 2, 4, 8, 12, 16)), Size(8, 512, odd=0.0),
                         Choice((16, 32, 64, 64, 96, 128)), Choice((0, 1))), Attention),
    Family("pool", (_IMAGE, _SHAPES, _CHANNELS, Choice(tuple(range(8)))), _pool),
    Family("softmax", (Size(1, 4096), Size(8, 4096, odd=0.3)), Softmax, weight=0.5),
    Family("layer_norm", (Size(1, 2048), Size(32, 2048, 16, 0.1), Choice((0, 1))), LayerNorm,
           weight=0.7),
    Family(
        "elementwise",
        (Size(1, 320), _SHAPES, _CHANNELS, Choice((1, 2)), Choice((0, 0, 1)),
         Choice((1, 2, 3, 4, 5))),
        _square(Elementwise),
    ),
    Family("concat", (_IMAGE, _SHAPES, Size(8, 512, 8, 0.3), Size(8, 512, 8, 0.3)),
           _square(Concat), weight=0.5),
    Family("transpose", (Size(7, 1024), Choice((1, 2, 4, 8, 12, 16)), Size(8, 512, 8, 0.2),
                         Choice((0, 1, 2))), Transpose, weight=0.7),
    Family("resize", (Size(4, 128), _SHAPES, Size(8, 512, 8, 0.1), Choice((2, 2, 4)),
                      Choice((0, 1))), _square(Resize), weight=0.5),
    Family("grouped", (_IMAGE, _SHAPES, Choice((2, 3, 4, 8, 16, 32)), Size(2, 128, 2, 0.2),
                       Size(2, 128, 2, 0.2), Choice((1, 3, 3, 5)), Choice((1, 1, 2)),
                       _ACTIVATIONS), _square(Grouped), weight=0.7),
    Family("conv2d_int8", _CONVOLUTION, _square(QuantizedConv2d), weight=1.5),
    Family("depthwise_int8", _DEPTHWISE, _square(QuantizedDepthwise), weight=0.5),
    Family("linear_int8", (Size(1, 1024, odd=0.2), Size(16, 8192, 16, 0.1),
                           Size(8, 16384, 8, 0.15), Choice((0, 1))), QuantizedLinear),
    Family("add_int8", (_IMAGE, _SHAPES, _CHANNELS), _square(QuantizedAdd), weight=0.3),
)  # fmt: skip
"""All of them; `gemv` is `linear` with one row, which networks often have."""
