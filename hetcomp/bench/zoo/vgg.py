"""VGG-16 (Simonyan and Zisserman, 2014)."""

from __future__ import annotations

from hetcomp.bench.zoo.builder import NetBuilder

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg16(g: NetBuilder, size: int) -> None:
    """Define VGG-16."""
    x = g.input("x", (1, 3, size, size))
    for stage, (channels, convs) in enumerate(_STAGES):
        with g.scope(f"stage{stage + 1}"):
            for index in range(convs):
                x = g.conv(f"conv{index + 1}", x, g.channels(channels), 3, act="relu")
            x = g.max_pool(x, 2, 2)
    x = g.gemm("fc1", g.flatten(x), g.channels(4096), "relu")
    x = g.gemm("fc2", x, g.channels(4096), "relu")
    g.output("logits", g.gemm("classifier", x, 1000))
