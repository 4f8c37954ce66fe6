"""SqueezeNet 1.1 (Iandola et al., 2016)."""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor

# Squeeze and expand channels of each fire module; None is a pooling between them.
_FIRES = (
    (16, 64),
    (16, 64),
    None,
    (32, 128),
    (32, 128),
    None,
    (48, 192),
    (48, 192),
    (64, 256),
    (64, 256),
)


def _fire(g: NetBuilder, x: Tensor, squeeze: int, expand: int) -> Tensor:
    squeezed = g.conv("squeeze", x, g.channels(squeeze), act="relu")
    left = g.conv("expand1x1", squeezed, g.channels(expand), act="relu")
    right = g.conv("expand3x3", squeezed, g.channels(expand), 3, act="relu")
    return g.concat([left, right])


def squeezenet(g: NetBuilder, size: int) -> None:
    """Define SqueezeNet 1.1."""
    x = g.input("x", (1, 3, size, size))
    x = g.conv("conv1", x, g.channels(64), 3, stride=2, padding=0, act="relu")
    x = g.max_pool(x, 3, 2, ceil=True)
    for index, fire in enumerate(_FIRES):
        if fire is None:
            x = g.max_pool(x, 3, 2, ceil=True)
            continue
        squeeze, expand = fire
        with g.scope(f"features.{index}"):
            x = _fire(g, x, squeeze, expand)
    x = g.conv("classifier", x, 1000, act="relu")
    g.output("logits", g.flatten(g.global_pool(x)))
