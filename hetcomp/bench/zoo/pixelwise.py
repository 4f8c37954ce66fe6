"""DeepLabv3 (MobileNet v2), PoseNet (MobileNet v1) and ESRGAN: outputs per pixel."""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor
from hetcomp.bench.zoo.mobilenet import mobilenetv1_body, mobilenetv2_body

_DEEPLAB_CLASSES = 21
_KEYPOINTS = 17
_ESRGAN_BLOCKS = 23
_ESRGAN_FEATURES = 64
_ESRGAN_GROWTH = 32


def _pyramid_pooling(g: NetBuilder, x: Tensor) -> Tensor:
    """Join the global mean, a pointwise and three dilated convolutions."""
    channels = g.channels(256)
    with g.scope("aspp"):
        pooled = g.conv("pool.conv", g.global_pool(x), channels, act="relu")
        parts = [
            g.resize_to(pooled, x.shape[2], x.shape[3]),
            g.conv("pointwise", x, channels, act="relu"),
        ]
        for rate in (6, 12, 18):
            parts.append(g.conv(f"dilated{rate}", x, channels, 3, dilation=rate, act="relu"))
        return g.conv("project", g.concat(parts), channels, act="relu")


def deeplabv3(g: NetBuilder, size: int) -> None:
    """Define DeepLabv3; scores [1, 21, size, size]."""
    x = mobilenetv2_body(g, g.input("x", (1, 3, size, size)), output_stride=16)
    x = g.conv("classifier", _pyramid_pooling(g, x), _DEEPLAB_CLASSES, gain=1.0)
    g.output("scores", g.resize_to(x, size, size))


def posenet(g: NetBuilder, size: int) -> None:
    """Define PoseNet; heat maps, offsets and displacements at stride 16."""
    x = mobilenetv1_body(g, g.input("x", (1, 3, size, size)), output_stride=16)[-1]
    heatmap = g.conv("heatmap", x, _KEYPOINTS, act="sigmoid", gain=1.0)
    g.output("heatmaps", heatmap)
    g.output("offsets", g.conv("offset", x, 2 * _KEYPOINTS, gain=1.0))
    # A skeleton of 17 points has 16 edges, each with a displacement in x and y.
    edges = _KEYPOINTS - 1
    g.output("displacements_forward", g.conv("forward", x, 2 * edges, gain=1.0))
    g.output("displacements_backward", g.conv("backward", x, 2 * edges, gain=1.0))


def _residual(g: NetBuilder, x: Tensor, y: Tensor) -> Tensor:
    return g.add(g.mul(y, g.scalar(0.2)), x)


def _dense_block(g: NetBuilder, x: Tensor, growth: int) -> Tensor:
    parts = [x]
    for index in range(4):
        joined = g.concat(parts) if index > 0 else x
        parts.append(g.conv(f"conv{index + 1}", joined, growth, 3, act="leaky_steep"))
    return _residual(g, x, g.conv("conv5", g.concat(parts), x.shape[1], 3, gain=1.0))


def esrgan(g: NetBuilder, size: int) -> None:
    """Define ESRGAN (RRDB, 23 blocks); the image enlarged four times."""
    features, growth = g.channels(_ESRGAN_FEATURES), g.channels(_ESRGAN_GROWTH)
    first = g.conv("conv_first", g.input("x", (1, 3, size, size)), features, 3, gain=1.0)
    x = first
    for index in range(g.repeats(_ESRGAN_BLOCKS)):
        y = x
        with g.scope(f"body.{index}"):
            for inner in range(3):
                with g.scope(f"rdb{inner + 1}"):
                    y = _dense_block(g, y, growth)
            x = _residual(g, x, y)
    x = g.add(first, g.conv("conv_body", x, features, 3, gain=1.0))
    for index in range(2):
        x = g.conv(f"conv_up{index + 1}", g.upsample(x), features, 3, act="leaky_steep")
    x = g.conv("conv_hr", x, features, 3, act="leaky_steep")
    g.output("image", g.conv("conv_last", x, 3, 3, gain=1.0))
