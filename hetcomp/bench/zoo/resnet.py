"""ResNet-18, -34 and -50 (He et al., 2015), batch normalisation folded."""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor

_BOTTLENECK_EXPANSION = 4
# The end of a residual branch is kept small, or activations would grow with depth.
_BRANCH_GAIN = 0.3


def _basic_branch(g: NetBuilder, x: Tensor, channels: int, stride: int) -> Tensor:
    y = g.conv("conv1", x, channels, 3, stride=stride, act="relu")
    return g.conv("conv2", y, channels, 3, gain=_BRANCH_GAIN)


def _bottleneck_branch(g: NetBuilder, x: Tensor, channels: int, stride: int) -> Tensor:
    y = g.conv("conv1", x, channels, act="relu")
    y = g.conv("conv2", y, channels, 3, stride=stride, act="relu")
    return g.conv("conv3", y, channels * _BOTTLENECK_EXPANSION, gain=_BRANCH_GAIN)


def _block(g: NetBuilder, x: Tensor, channels: int, stride: int, bottleneck: bool) -> Tensor:
    branch = _bottleneck_branch if bottleneck else _basic_branch
    y = branch(g, x, channels, stride)
    if y.shape != x.shape:
        x = g.conv("downsample", x, y.shape[1], stride=stride, padding=0, gain=1.0)
    return g.activation("add", g.add(y, x), "relu")


def _resnet(g: NetBuilder, size: int, layers: tuple[int, ...], *, bottleneck: bool) -> None:
    x = g.input("x", (1, 3, size, size))
    x = g.conv("conv1", x, g.channels(64), 7, stride=2, act="relu")
    x = g.max_pool(x, 3, 2, 1)
    for stage, blocks in enumerate(layers):
        channels = g.channels(64 << stage)
        for index in range(g.repeats(blocks)):
            stride = 2 if stage > 0 and index == 0 else 1
            with g.scope(f"layer{stage + 1}.{index}"):
                x = _block(g, x, channels, stride, bottleneck)
    g.classifier(x, 1000)


def resnet18(g: NetBuilder, size: int) -> None:
    """Define ResNet-18."""
    _resnet(g, size, (2, 2, 2, 2), bottleneck=False)


def resnet34(g: NetBuilder, size: int) -> None:
    """Define ResNet-34."""
    _resnet(g, size, (3, 4, 6, 3), bottleneck=False)


def resnet50(g: NetBuilder, size: int) -> None:
    """Define ResNet-50, its stride in the 3x3 convolution (version 1.5)."""
    _resnet(g, size, (3, 4, 6, 3), bottleneck=True)
