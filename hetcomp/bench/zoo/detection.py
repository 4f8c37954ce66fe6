"""RetinaFace (Deng et al., 2019) and SSD (Liu et al., 2015), both on MobileNet v1."""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor
from hetcomp.bench.zoo.mobilenet import mobilenetv1_body

_RETINAFACE_CHANNELS = 64
_RETINAFACE_ANCHORS = 2
# Values per anchor of each RetinaFace head.
_RETINAFACE_HEADS = {"boxes": 4, "scores": 2, "landmarks": 10}
_SSD_EXTRA_CHANNELS = (512, 256, 256, 128)
_SSD_CLASSES = 91


def _per_anchor_head(g: NetBuilder, name: str, x: Tensor, anchors: int, values: int) -> Tensor:
    """Predict ``values`` numbers per anchor, [1, anchors in all, values]."""
    _, _, height, width = x.shape
    y = g.conv(name, x, anchors * values, gain=1.0)
    y = g.transpose(y, [0, 2, 3, 1], name=f"{name}.transpose")
    return g.reshape(y, [1, anchors * height * width, values], name=f"{name}.reshape")


def _leaky(g: NetBuilder, name: str, x: Tensor, channels: int, kernel: int = 3) -> Tensor:
    return g.conv(name, x, channels, kernel, act="leaky")


def _pyramid(g: NetBuilder, features: list[Tensor]) -> list[Tensor]:
    """Add coarse maps to finer ones, from the coarsest down."""
    channels = _RETINAFACE_CHANNELS
    with g.scope("fpn"):
        fine, medium, coarse = (
            _leaky(g, f"lateral{index}", feature, channels, 1)
            for index, feature in enumerate(features)
        )
        medium = _leaky(g, "merge1", g.add(medium, g.upsample(coarse)), channels)
        fine = _leaky(g, "merge0", g.add(fine, g.upsample(medium)), channels)
        return [fine, medium, coarse]


def _context(g: NetBuilder, x: Tensor) -> Tensor:
    """Join receptive fields of 3, 5 and 7 pixels."""
    half, quarter = _RETINAFACE_CHANNELS // 2, _RETINAFACE_CHANNELS // 4
    three = g.conv("conv3x3", x, half, 3)
    shared = _leaky(g, "conv5x5.1", x, quarter)
    five = g.conv("conv5x5.2", shared, quarter, 3)
    seven = g.conv("conv7x7.3", _leaky(g, "conv7x7.2", shared, quarter), quarter, 3)
    return g.activation("context", g.concat([three, five, seven]), "relu")


def retinaface(g: NetBuilder, size: int) -> None:
    """Define RetinaFace on MobileNet v1 0.25; boxes, scores (softmax) and landmarks."""
    blocks = mobilenetv1_body(g, g.input("x", (1, 3, size, size)), alpha=0.25, act="leaky")
    heads: dict[str, list[Tensor]] = {name: [] for name in _RETINAFACE_HEADS}
    for level, feature in enumerate(_pyramid(g, [blocks[4], blocks[10], blocks[12]])):
        with g.scope(f"level{level}"):
            x = _context(g, feature)
            for name, values in _RETINAFACE_HEADS.items():
                heads[name].append(_per_anchor_head(g, name, x, _RETINAFACE_ANCHORS, values))
    g.output("boxes", g.concat(heads["boxes"]))
    g.output("scores", g.op("Softmax", g.concat(heads["scores"]), axis=-1))
    g.output("landmarks", g.concat(heads["landmarks"]))


def _ssd_features(g: NetBuilder, x: Tensor) -> list[Tensor]:
    blocks = mobilenetv1_body(g, x)
    features = [blocks[10], blocks[12]]
    for index, channels in enumerate(_SSD_EXTRA_CHANNELS):
        with g.scope(f"extra{index}"):
            y = g.conv("reduce", features[-1], g.channels(channels // 2), act="relu6")
            features.append(g.conv("down", y, g.channels(channels), 3, stride=2, act="relu6"))
    return features


def ssd_mobilenetv1(g: NetBuilder, size: int) -> None:
    """Define SSD on MobileNet v1; box encodings and sigmoid scores."""
    boxes = []
    scores = []
    for level, feature in enumerate(_ssd_features(g, g.input("x", (1, 3, size, size)))):
        anchors = 3 if level == 0 else 6
        with g.scope(f"level{level}"):
            boxes.append(_per_anchor_head(g, "boxes", feature, anchors, 4))
            scores.append(_per_anchor_head(g, "scores", feature, anchors, _SSD_CLASSES))
    g.output("boxes", g.concat(boxes))
    g.output("scores", g.activation("scores", g.concat(scores), "sigmoid"))
