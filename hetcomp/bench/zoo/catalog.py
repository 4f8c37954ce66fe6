"""The table of networks: who defines each, its published size and a small one for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.darknet import yolov3, yolov4
from hetcomp.bench.zoo.deepfm import deepfm
from hetcomp.bench.zoo.densenet import densenet121
from hetcomp.bench.zoo.detection import retinaface, ssd_mobilenetv1
from hetcomp.bench.zoo.inception import inception_v3
from hetcomp.bench.zoo.mobilebert import mobilebert
from hetcomp.bench.zoo.mobilenet import efficientnet_b0, mobilenetv1, mobilenetv2, mobilenetv3
from hetcomp.bench.zoo.pixelwise import deeplabv3, esrgan, posenet
from hetcomp.bench.zoo.resnet import resnet18, resnet34, resnet50
from hetcomp.bench.zoo.shufflenet import shufflenetv2
from hetcomp.bench.zoo.squeezenet import squeezenet
from hetcomp.bench.zoo.transformers import bert_base, bert_tiny, gpt2, vit_b32
from hetcomp.bench.zoo.vgg import vgg16
from hetcomp.bench.zoo.yolo import yolov5s, yolov8n


class Scale(TypedDict):
    """Keyword arguments of ``build`` that set how large a network is."""

    size: int
    width: float
    depth: float


@dataclass(frozen=True)
class Network:
    """One architecture.

    Parameters
    ----------
    define
        Adds the network to a builder, given its size.
    size
        Published size: pixels, tokens, or batch for DeepFM.
    small
        Scale for tests: under 60 MFLOP and a few MB of weights.
    """

    define: Callable[[NetBuilder, int], None]
    size: int
    small: Scale


def _small(size: int, width: float = 0.25, depth: float = 1.0) -> Scale:
    return Scale(size=size, width=width, depth=depth)


NETWORKS: dict[str, Network] = {
    "mobilenetv1": Network(mobilenetv1, 224, _small(64)),
    "mobilenetv2": Network(mobilenetv2, 224, _small(64)),
    "mobilenetv3": Network(mobilenetv3, 224, _small(64)),
    "resnet18": Network(resnet18, 224, _small(64)),
    "resnet34": Network(resnet34, 224, _small(64)),
    "resnet50": Network(resnet50, 224, _small(64)),
    "inception_v3": Network(inception_v3, 299, _small(80)),
    "vgg16": Network(vgg16, 224, _small(32)),
    "squeezenet": Network(squeezenet, 224, _small(64)),
    "shufflenetv2": Network(shufflenetv2, 224, _small(64)),
    "densenet121": Network(densenet121, 224, _small(64)),
    "efficientnet_b0": Network(efficientnet_b0, 224, _small(64)),
    "vit_b32": Network(vit_b32, 224, _small(64, 0.125, 0.5)),
    "bert_base": Network(bert_base, 128, _small(16, 0.125, 0.5)),
    "bert_tiny": Network(bert_tiny, 128, _small(16)),
    "mobilebert": Network(mobilebert, 128, _small(16, 0.25, 0.25)),
    "yolov3": Network(yolov3, 416, _small(64, 0.125)),
    "yolov4": Network(yolov4, 416, _small(64, 0.125)),
    "yolov5s": Network(yolov5s, 640, _small(64)),
    "yolov8n": Network(yolov8n, 640, _small(64)),
    "deeplabv3": Network(deeplabv3, 257, _small(65)),
    "retinaface": Network(retinaface, 320, _small(64)),
    "ssd_mobilenetv1": Network(ssd_mobilenetv1, 300, _small(96)),
    "posenet": Network(posenet, 257, _small(65)),
    "esrgan": Network(esrgan, 64, _small(12, 0.25, 0.1)),
    "deepfm": Network(deepfm, 64, _small(8, 0.125)),
    "gpt2": Network(gpt2, 64, _small(16, 0.125, 0.25)),
}
