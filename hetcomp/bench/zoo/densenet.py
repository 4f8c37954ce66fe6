"""DenseNet-121 (Huang et al., 2016).

Batch normalisation comes before the ReLU and the convolution here, so it cannot fold and stays.
"""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor

_BLOCKS = (6, 12, 24, 16)
_GROWTH = 32
_BOTTLENECK = 128


def _norm_relu(g: NetBuilder, name: str, x: Tensor) -> Tensor:
    return g.activation(name, g.batch_norm(name, x), "relu")


def _dense_layer(g: NetBuilder, x: Tensor) -> Tensor:
    y = g.conv("conv1", _norm_relu(g, "norm1", x), g.channels(_BOTTLENECK), act="relu")
    y = g.conv("conv2", y, g.channels(_GROWTH), 3, bias=False)
    return g.concat([x, y])


def _transition(g: NetBuilder, x: Tensor) -> Tensor:
    y = g.conv("conv", _norm_relu(g, "norm", x), x.shape[1] // 2, bias=False)
    return g.average_pool(y, 2, 2)


def densenet121(g: NetBuilder, size: int) -> None:
    """Define DenseNet-121."""
    x = g.input("x", (1, 3, size, size))
    x = g.conv("conv0", x, g.channels(64), 7, stride=2, act="relu")
    x = g.max_pool(x, 3, 2, 1)
    for block, layers in enumerate(_BLOCKS):
        for index in range(g.repeats(layers)):
            with g.scope(f"block{block + 1}.{index}"):
                x = _dense_layer(g, x)
        if block < len(_BLOCKS) - 1:
            with g.scope(f"transition{block + 1}"):
                x = _transition(g, x)
    g.classifier(_norm_relu(g, "norm5", x), 1000)
