"""YOLOv3 and YOLOv4 (Redmon and Farhadi, 2018; Bochkovskiy et al., 2020), raw heads."""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor

# Channels and residual blocks of each stage of Darknet-53 and CSPDarknet-53.
_STAGES = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))
# Three anchors, each with a box, an objectness and 80 class scores.
_HEAD_CHANNELS = 3 * (5 + 80)


def _leaky(
    g: NetBuilder, name: str, x: Tensor, channels: int, kernel: int = 1, stride: int = 1
) -> Tensor:
    return g.conv(name, x, channels, kernel, stride=stride, act="leaky")


def _mish(
    g: NetBuilder, name: str, x: Tensor, channels: int, kernel: int = 1, stride: int = 1
) -> Tensor:
    return g.conv(name, x, channels, kernel, stride=stride, act="mish")


def _head(g: NetBuilder, name: str, x: Tensor, channels: int) -> None:
    with g.scope(name):
        x = _leaky(g, "conv", x, channels, 3)
        x = g.conv("predict", x, _HEAD_CHANNELS, gain=1.0)
    g.output(name, x)


def _darknet_block(g: NetBuilder, x: Tensor) -> Tensor:
    channels = x.shape[1]
    y = _leaky(g, "conv1", x, channels // 2)
    y = g.conv("conv2", y, channels, 3, act="leaky", gain=0.3)
    return g.add(y, x)


def _darknet53(g: NetBuilder, x: Tensor) -> list[Tensor]:
    outputs = []
    with g.scope("backbone"):
        x = _leaky(g, "conv0", x, g.channels(32), 3)
        for stage, (channels, blocks) in enumerate(_STAGES):
            x = _leaky(g, f"down{stage + 1}", x, g.channels(channels), 3, stride=2)
            for index in range(g.repeats(blocks)):
                with g.scope(f"stage{stage + 1}.{index}"):
                    x = _darknet_block(g, x)
            outputs.append(x)
    return outputs


def _five_convs(g: NetBuilder, x: Tensor, channels: int) -> Tensor:
    for index in range(2):
        x = _leaky(g, f"conv{2 * index + 1}", x, channels)
        x = _leaky(g, f"conv{2 * index + 2}", x, 2 * channels, 3)
    return _leaky(g, "conv5", x, channels)


def yolov3(g: NetBuilder, size: int) -> None:
    """Define YOLOv3; three outputs [1, 255, s, s], coarse to fine."""
    stages = _darknet53(g, g.input("x", (1, 3, size, size)))
    x = stages[4]
    for index, published in enumerate((512, 256, 128)):
        channels = g.channels(published)
        with g.scope(f"neck{index}"):
            if index > 0:
                x = g.upsample(_leaky(g, "lateral", x, channels))
                x = g.concat([x, stages[4 - index]])
            x = _five_convs(g, x, channels)
        _head(g, f"head{index}", x, 2 * channels)


def _csp_stage(g: NetBuilder, x: Tensor, channels: int, blocks: int, half: int) -> Tensor:
    x = _mish(g, "down", x, channels, 3, stride=2)
    shortcut = _mish(g, "shortcut", x, half)
    y = _mish(g, "main", x, half)
    for index in range(blocks):
        with g.scope(str(index)):
            # The first stage squeezes its blocks to half the channels of the main path.
            inner = channels // 2
            branch = _mish(g, "conv1", y, inner)
            branch = g.conv("conv2", branch, half, 3, act="mish", gain=0.3)
            y = g.add(branch, y)
    y = _mish(g, "merge", y, half)
    return _mish(g, "out", g.concat([y, shortcut]), channels)


def _csp_darknet53(g: NetBuilder, x: Tensor) -> list[Tensor]:
    outputs = []
    with g.scope("backbone"):
        x = _mish(g, "conv0", x, g.channels(32), 3)
        for stage, (published, blocks) in enumerate(_STAGES):
            channels = g.channels(published)
            half = channels if stage == 0 else channels // 2
            with g.scope(f"stage{stage + 1}"):
                x = _csp_stage(g, x, channels, g.repeats(blocks), half)
            outputs.append(x)
    return outputs


def _spatial_pyramid(g: NetBuilder, x: Tensor, channels: int) -> Tensor:
    x = _leaky(g, "conv1", x, channels)
    x = _leaky(g, "conv2", x, 2 * channels, 3)
    x = _leaky(g, "conv3", x, channels)
    pools = [g.max_pool(x, kernel, 1, kernel // 2) for kernel in (13, 9, 5)]
    x = _leaky(g, "conv4", g.concat([*pools, x]), channels)
    x = _leaky(g, "conv5", x, 2 * channels, 3)
    return _leaky(g, "conv6", x, channels)


def _merge_up(g: NetBuilder, name: str, coarse: Tensor, fine: Tensor, channels: int) -> Tensor:
    with g.scope(name):
        up = g.upsample(_leaky(g, "up.conv", coarse, channels))
        joined = g.concat([_leaky(g, "lateral", fine, channels), up])
        return _five_convs(g, joined, channels)


def _merge_down(g: NetBuilder, name: str, fine: Tensor, coarse: Tensor, channels: int) -> Tensor:
    with g.scope(name):
        down = _leaky(g, "down", fine, channels, 3, stride=2)
        return _five_convs(g, g.concat([down, coarse]), channels)


def yolov4(g: NetBuilder, size: int) -> None:
    """Define YOLOv4; three outputs [1, 255, s, s], fine to coarse."""
    stages = _csp_darknet53(g, g.input("x", (1, 3, size, size)))
    small, medium, large = (g.channels(count) for count in (128, 256, 512))
    with g.scope("pyramid"):
        p5 = _spatial_pyramid(g, stages[4], large)
    p4 = _merge_up(g, "up4", p5, stages[3], medium)
    p3 = _merge_up(g, "up3", p4, stages[2], small)
    _head(g, "head0", p3, medium)
    p4 = _merge_down(g, "down4", p3, p4, medium)
    _head(g, "head1", p4, large)
    p5 = _merge_down(g, "down5", p4, p5, large)
    _head(g, "head2", p5, 2 * large)
