"""ShuffleNet v2, width 1x (Ma et al., 2018)."""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor

# Channels and units of each stage.
_STAGES = ((116, 4), (232, 8), (464, 4))


def _shuffle(g: NetBuilder, x: Tensor) -> Tensor:
    count, channels, height, width = x.shape
    with g.scope("shuffle"):
        x = g.reshape(x, [count, 2, channels // 2, height, width], name="group")
        x = g.transpose(x, [0, 2, 1, 3, 4])
        return g.reshape(x, [count, channels, height, width], name="ungroup")


def _right_branch(g: NetBuilder, x: Tensor, channels: int, stride: int) -> Tensor:
    with g.scope("right"):
        x = g.conv("conv1", x, channels, act="relu")
        x = g.depthwise("depthwise", x, 3, stride=stride)
        return g.conv("conv2", x, channels, act="relu")


def _down_unit(g: NetBuilder, x: Tensor, channels: int) -> Tensor:
    left = g.depthwise("left.depthwise", x, 3, stride=2)
    left = g.conv("left.conv", left, channels, act="relu")
    right = _right_branch(g, x, channels, 2)
    return _shuffle(g, g.concat([left, right]))


def _unit(g: NetBuilder, x: Tensor, channels: int) -> Tensor:
    left, right = g.split(x, [channels, channels])
    right = _right_branch(g, right, channels, 1)
    return _shuffle(g, g.concat([left, right]))


def shufflenetv2(g: NetBuilder, size: int) -> None:
    """Define ShuffleNet v2 1x."""
    x = g.input("x", (1, 3, size, size))
    x = g.conv("conv1", x, g.channels(24), 3, stride=2, act="relu")
    x = g.max_pool(x, 3, 2, 1)
    for stage, (channels, units) in enumerate(_STAGES):
        half = g.channels(channels) // 2
        for index in range(g.repeats(units)):
            with g.scope(f"stage{stage + 2}.{index}"):
                x = _down_unit(g, x, half) if index == 0 else _unit(g, x, half)
    x = g.conv("conv5", x, g.channels(1024), act="relu")
    g.classifier(x, 1000)
