"""Inception v3 (Szegedy et al., 2015), without the auxiliary classifier."""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor

_ROW = (1, 7)
_COLUMN = (7, 1)


def _conv(
    g: NetBuilder,
    name: str,
    x: Tensor,
    channels: int,
    kernel: int | tuple[int, int] = 1,
    *,
    stride: int = 1,
    padding: int | None = None,
) -> Tensor:
    return g.conv(name, x, g.channels(channels), kernel, stride=stride, padding=padding, act="relu")


def _stem(g: NetBuilder, x: Tensor) -> Tensor:
    with g.scope("stem"):
        x = _conv(g, "conv1", x, 32, 3, stride=2, padding=0)
        x = _conv(g, "conv2", x, 32, 3, padding=0)
        x = _conv(g, "conv3", x, 64, 3)
        x = g.max_pool(x, 3, 2)
        x = _conv(g, "conv4", x, 80)
        x = _conv(g, "conv5", x, 192, 3, padding=0)
        return g.max_pool(x, 3, 2)


def _pool_branch(g: NetBuilder, x: Tensor, channels: int) -> Tensor:
    return _conv(g, "pool.conv", g.average_pool(x, 3, 1, 1), channels)


def _mixed_a(g: NetBuilder, x: Tensor, pool_channels: int) -> Tensor:
    single = _conv(g, "branch1x1", x, 64)
    five = _conv(g, "branch5x5.1", x, 48)
    five = _conv(g, "branch5x5.2", five, 64, 5)
    double = _conv(g, "branch3x3.1", x, 64)
    double = _conv(g, "branch3x3.2", double, 96, 3)
    double = _conv(g, "branch3x3.3", double, 96, 3)
    return g.concat([single, five, double, _pool_branch(g, x, pool_channels)])


def _reduction_a(g: NetBuilder, x: Tensor) -> Tensor:
    single = _conv(g, "branch3x3", x, 384, 3, stride=2, padding=0)
    double = _conv(g, "double.1", x, 64)
    double = _conv(g, "double.2", double, 96, 3)
    double = _conv(g, "double.3", double, 96, 3, stride=2, padding=0)
    return g.concat([single, double, g.max_pool(x, 3, 2)])


def _mixed_b(g: NetBuilder, x: Tensor, channels: int) -> Tensor:
    single = _conv(g, "branch1x1", x, 192)
    seven = _conv(g, "branch7x7.1", x, channels)
    seven = _conv(g, "branch7x7.2", seven, channels, _ROW)
    seven = _conv(g, "branch7x7.3", seven, 192, _COLUMN)
    double = _conv(g, "double.1", x, channels)
    double = _conv(g, "double.2", double, channels, _COLUMN)
    double = _conv(g, "double.3", double, channels, _ROW)
    double = _conv(g, "double.4", double, channels, _COLUMN)
    double = _conv(g, "double.5", double, 192, _ROW)
    return g.concat([single, seven, double, _pool_branch(g, x, 192)])


def _reduction_b(g: NetBuilder, x: Tensor) -> Tensor:
    three = _conv(g, "branch3x3.1", x, 192)
    three = _conv(g, "branch3x3.2", three, 320, 3, stride=2, padding=0)
    seven = _conv(g, "branch7x7.1", x, 192)
    seven = _conv(g, "branch7x7.2", seven, 192, _ROW)
    seven = _conv(g, "branch7x7.3", seven, 192, _COLUMN)
    seven = _conv(g, "branch7x7.4", seven, 192, 3, stride=2, padding=0)
    return g.concat([three, seven, g.max_pool(x, 3, 2)])


def _mixed_c(g: NetBuilder, x: Tensor) -> Tensor:
    single = _conv(g, "branch1x1", x, 320)
    three = _conv(g, "branch3x3.1", x, 384)
    double = _conv(g, "double.1", x, 448)
    double = _conv(g, "double.2", double, 384, 3)
    parts = [
        single,
        _conv(g, "branch3x3.row", three, 384, (1, 3)),
        _conv(g, "branch3x3.column", three, 384, (3, 1)),
        _conv(g, "double.row", double, 384, (1, 3)),
        _conv(g, "double.column", double, 384, (3, 1)),
        _pool_branch(g, x, 192),
    ]
    return g.concat(parts)


def inception_v3(g: NetBuilder, size: int) -> None:
    """Define Inception v3."""
    x = _stem(g, g.input("x", (1, 3, size, size)))
    for index, pool_channels in enumerate((32, 64, 64)):
        with g.scope(f"mixed_a{index}"):
            x = _mixed_a(g, x, pool_channels)
    with g.scope("reduction_a"):
        x = _reduction_a(g, x)
    for index, channels in enumerate((128, 160, 160, 192)):
        with g.scope(f"mixed_b{index}"):
            x = _mixed_b(g, x, channels)
    with g.scope("reduction_b"):
        x = _reduction_b(g, x)
    for index in range(2):
        with g.scope(f"mixed_c{index}"):
            x = _mixed_c(g, x)
    g.classifier(x, 1000)
