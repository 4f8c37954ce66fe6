"""YOLOv5s and YOLOv8n (Ultralytics), with the decoding of boxes that their exports carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor

_CLASSES = 80
_STRIDES = (8, 16, 32)
_DEPTH = 0.33
# YOLOv8 predicts each box side as a distribution over this many bins.
_BINS = 16


@dataclass(frozen=True)
class _Widths:
    """Channels at the three output scales, fine to coarse, and of the stem before them."""

    stem: int
    first: int
    p3: int
    p4: int
    p5: int


def _widths(g: NetBuilder, factor: float) -> _Widths:
    return _Widths(*(g.channels(int(count * factor)) for count in (64, 128, 256, 512, 1024)))


def _repeats(g: NetBuilder, blocks: int) -> int:
    return g.repeats(max(1, round(blocks * _DEPTH)))


def _conv(
    g: NetBuilder, name: str, x: Tensor, channels: int, kernel: int = 1, stride: int = 1
) -> Tensor:
    return g.conv(name, x, channels, kernel, stride=stride, act="silu")


def _c3(
    g: NetBuilder, name: str, x: Tensor, channels: int, blocks: int, *, residual: bool = True
) -> Tensor:
    with g.scope(name):
        half = channels // 2
        y = _conv(g, "conv1", x, half)
        for index in range(_repeats(g, blocks)):
            with g.scope(f"block{index}"):
                z = _conv(g, "conv2", _conv(g, "conv1", y, half), half, 3)
                y = g.add(y, z) if residual else z
        shortcut = _conv(g, "conv2", x, half)
        return _conv(g, "conv3", g.concat([y, shortcut]), channels)


def _c2f(
    g: NetBuilder, name: str, x: Tensor, channels: int, blocks: int, *, residual: bool = True
) -> Tensor:
    with g.scope(name):
        half = channels // 2
        parts = g.split(_conv(g, "conv1", x, channels), [half, half])
        for index in range(_repeats(g, blocks)):
            with g.scope(f"block{index}"):
                z = _conv(g, "conv2", _conv(g, "conv1", parts[-1], half, 3), half, 3)
                parts.append(g.add(parts[-1], z) if residual else z)
        return _conv(g, "conv2", g.concat(parts), channels)


def _sppf(g: NetBuilder, x: Tensor, channels: int) -> Tensor:
    with g.scope("sppf"):
        parts = [_conv(g, "conv1", x, channels // 2)]
        for _ in range(3):
            parts.append(g.max_pool(parts[-1], 5, 1, 2))
        return _conv(g, "conv2", g.concat(parts), channels)


def _v5_features(g: NetBuilder, x: Tensor) -> list[Tensor]:
    w = _widths(g, 0.5)
    x = g.conv("conv0", x, w.stem, 6, stride=2, padding=2, act="silu")
    x = _c3(g, "c3_1", _conv(g, "down1", x, w.first, 3, 2), w.first, 3)
    p3 = _c3(g, "c3_2", _conv(g, "down2", x, w.p3, 3, 2), w.p3, 6)
    p4 = _c3(g, "c3_3", _conv(g, "down3", p3, w.p4, 3, 2), w.p4, 9)
    p5 = _c3(g, "c3_4", _conv(g, "down4", p4, w.p5, 3, 2), w.p5, 3)
    lateral5 = _conv(g, "lateral5", _sppf(g, p5, w.p5), w.p4)
    joined = g.concat([g.upsample(lateral5), p4])
    lateral4 = _conv(g, "lateral4", _c3(g, "up4", joined, w.p4, 3, residual=False), w.p3)
    n3 = _c3(g, "up3", g.concat([g.upsample(lateral4), p3]), w.p3, 3, residual=False)
    joined = g.concat([_conv(g, "down5", n3, w.p3, 3, 2), lateral4])
    n4 = _c3(g, "out4", joined, w.p4, 3, residual=False)
    joined = g.concat([_conv(g, "down6", n4, w.p4, 3, 2), lateral5])
    return [n3, n4, _c3(g, "out5", joined, w.p5, 3, residual=False)]


def _grid(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the (x, y) of each cell, [height, width, 2]."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows], axis=-1).astype(np.float32)


def _v5_detect(g: NetBuilder, x: Tensor, stride: int) -> Tensor:
    _, _, height, width = x.shape
    y = g.conv("predict", x, 3 * (5 + _CLASSES), gain=1.0)
    y = g.reshape(y, [1, 3, 5 + _CLASSES, height, width])
    y = g.activation("predict", g.transpose(y, [0, 1, 3, 4, 2]), "sigmoid")
    centre, extent, scores = g.split(y, [2, 2, 1 + _CLASSES], axis=4)
    offsets = g.constant("grid", _grid(height, width)[None, None] - np.float32(0.5))
    centre = g.add(g.mul(centre, g.scalar(2.0)), offsets, name="centre")
    centre = g.mul(centre, g.scalar(stride), name="centre.scaled")
    extent = g.op("Pow", g.mul(extent, g.scalar(2.0)), g.scalar(2.0), name="extent")
    anchors = g.constant("anchors", np.full((1, 3, 1, 1, 2), 4 * stride, dtype=np.float32))
    extent = g.mul(extent, anchors, name="extent.scaled")
    boxes = g.concat([centre, extent, scores], axis=4)
    return g.reshape(boxes, [1, 3 * height * width, 5 + _CLASSES], name="flat")


def yolov5s(g: NetBuilder, size: int) -> None:
    """Define YOLOv5s; one output [1, boxes, 85]."""
    features = _v5_features(g, g.input("x", (1, 3, size, size)))
    detections = []
    for stride, feature in zip(_STRIDES, features, strict=True):
        with g.scope(f"detect{stride}"):
            detections.append(_v5_detect(g, feature, stride))
    g.output("detections", g.concat(detections))


def _v8_features(g: NetBuilder, x: Tensor) -> list[Tensor]:
    w = _widths(g, 0.25)
    x = _conv(g, "conv0", x, w.stem, 3, 2)
    x = _c2f(g, "c2f_1", _conv(g, "down1", x, w.first, 3, 2), w.first, 3)
    p3 = _c2f(g, "c2f_2", _conv(g, "down2", x, w.p3, 3, 2), w.p3, 6)
    p4 = _c2f(g, "c2f_3", _conv(g, "down3", p3, w.p4, 3, 2), w.p4, 6)
    p5 = _c2f(g, "c2f_4", _conv(g, "down4", p4, w.p5, 3, 2), w.p5, 3)
    p5 = _sppf(g, p5, w.p5)
    m4 = _c2f(g, "up4", g.concat([g.upsample(p5), p4]), w.p4, 3, residual=False)
    n3 = _c2f(g, "up3", g.concat([g.upsample(m4), p3]), w.p3, 3, residual=False)
    joined = g.concat([_conv(g, "down5", n3, w.p3, 3, 2), m4])
    n4 = _c2f(g, "out4", joined, w.p4, 3, residual=False)
    joined = g.concat([_conv(g, "down6", n4, w.p4, 3, 2), p5])
    return [n3, n4, _c2f(g, "out5", joined, w.p5, 3, residual=False)]


def _v8_branch(g: NetBuilder, name: str, x: Tensor, hidden: int, outputs: int) -> Tensor:
    """Predict ``outputs`` values per cell, [1, outputs, cells]."""
    with g.scope(name):
        y = _conv(g, "conv2", _conv(g, "conv1", x, hidden, 3), hidden, 3)
        y = g.conv("predict", y, outputs, gain=1.0)
        return g.reshape(y, [1, outputs, x.shape[2] * x.shape[3]])


def _v8_distances(g: NetBuilder, boxes: Tensor) -> list[Tensor]:
    """Turn the distributions into distances to left-top and right-bottom, [1, 2, cells] each."""
    cells = boxes.shape[2]
    bins = g.transpose(g.reshape(boxes, [1, 4, _BINS, cells]), [0, 2, 1, 3])
    shares = g.op("Softmax", bins, axis=1)
    weight = g.constant("bins", np.arange(_BINS, dtype=np.float32).reshape(1, _BINS, 1, 1))
    means = g.op("Conv", shares, weight, kernel_shape=[1, 1], name="mean")
    return g.split(g.reshape(means, [1, 4, cells]), [2, 2])


def _v8_decode(g: NetBuilder, boxes: Tensor, features: list[Tensor]) -> Tensor:
    cells = [_grid(f.shape[2], f.shape[3]).reshape(-1, 2).T + np.float32(0.5) for f in features]
    steps = [
        np.full(cell.shape[1], stride, dtype=np.float32)
        for cell, stride in zip(cells, _STRIDES, strict=True)
    ]
    anchors = g.constant("anchors", np.concatenate(cells, axis=1)[None])
    left_top, right_bottom = _v8_distances(g, boxes)
    low = g.op("Sub", anchors, left_top, name="low")
    high = g.add(anchors, right_bottom, name="high")
    centre = g.mul(g.add(low, high, name="sum"), g.scalar(0.5), name="centre")
    extent = g.op("Sub", high, low, name="extent")
    strides = g.constant("strides", np.concatenate(steps)[None, None])
    return g.mul(g.concat([centre, extent]), strides, name="boxes")


def yolov8n(g: NetBuilder, size: int) -> None:
    """Define YOLOv8n; one output [1, 84, cells]."""
    features = _v8_features(g, g.input("x", (1, 3, size, size)))
    score_channels = max(features[0].shape[1], _CLASSES)
    boxes = []
    scores = []
    for stride, feature in zip(_STRIDES, features, strict=True):
        with g.scope(f"detect{stride}"):
            boxes.append(_v8_branch(g, "box", feature, 4 * _BINS, 4 * _BINS))
            scores.append(_v8_branch(g, "score", feature, score_channels, _CLASSES))
    with g.scope("decode"):
        decoded = _v8_decode(g, g.concat(boxes, axis=2), features)
        classes = g.activation("scores", g.concat(scores, axis=2), "sigmoid")
        g.output("detections", g.concat([decoded, classes], name="detections"))
