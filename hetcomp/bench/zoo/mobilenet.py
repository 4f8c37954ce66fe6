"""MobileNet v1, v2 and v3-large (Howard et al., Sandler et al.) and EfficientNet-B0.

The bodies of v1 and v2 are also the backbones of detectors and pixel-wise networks; there the
strides beyond an output stride turn into dilations.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from hetcomp.bench.zoo.builder import NetBuilder
from hetcomp.bench.zoo.graph import Tensor

# Output channels and stride of each depthwise-separable block of v1.
_V1_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


@dataclass(frozen=True)
class Stage:
    """A run of inverted residual blocks; the stride belongs to the first of them."""

    expand: int
    channels: int
    blocks: int
    stride: int
    kernel: int = 3


@dataclass(frozen=True)
class Block:
    """One inverted residual block with all its channel counts given."""

    hidden: int
    channels: int
    stride: int = 1
    kernel: int = 3
    squeeze: int = 0
    act: str = "relu6"
    squeeze_act: str = "relu"
    gate: str = "hard_sigmoid"
    dilation: int = 1


_V2_STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
_V3_BLOCKS = (
    Block(16, 16, act="relu"),
    Block(64, 24, stride=2, act="relu"),
    Block(72, 24, act="relu"),
    Block(72, 40, stride=2, kernel=5, squeeze=24, act="relu"),
    Block(120, 40, kernel=5, squeeze=32, act="relu"),
    Block(120, 40, kernel=5, squeeze=32, act="relu"),
    Block(240, 80, stride=2, act="hard_swish"),
    Block(200, 80, act="hard_swish"),
    Block(184, 80, act="hard_swish"),
    Block(184, 80, act="hard_swish"),
    Block(480, 112, squeeze=120, act="hard_swish"),
    Block(672, 112, squeeze=168, act="hard_swish"),
    Block(672, 160, stride=2, kernel=5, squeeze=168, act="hard_swish"),
    Block(960, 160, kernel=5, squeeze=240, act="hard_swish"),
    Block(960, 160, kernel=5, squeeze=240, act="hard_swish"),
)
_EFFICIENTNET_STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 40, 2, 2, kernel=5),
    Stage(6, 80, 3, 2),
    Stage(6, 112, 3, 1, kernel=5),
    Stage(6, 192, 4, 2, kernel=5),
    Stage(6, 320, 1, 1),
)


@dataclass
class _OutputStride:
    """Turns strides into dilations once the output stride is reached."""

    limit: int
    reached: int = 2
    dilation: int = 1

    def next_stride(self, stride: int) -> int:
        if stride > 1 and self.reached >= self.limit:
            self.dilation *= stride
            return 1
        self.reached *= stride
        return stride


def mobilenetv1_body(
    g: NetBuilder,
    x: Tensor,
    *,
    alpha: float = 1.0,
    act: str = "relu6",
    output_stride: int = 32,
) -> list[Tensor]:
    """Add the v1 body and return the outputs of its 13 blocks.

    Parameters
    ----------
    g
        The builder.
    x
        The image, [1, 3, H, W].
    alpha
        The published width multiplier.
    act
        Activation after each convolution.
    output_stride
        Stride of the whole body; later blocks are dilated instead.
    """
    outputs = []
    strides = _OutputStride(output_stride)
    with g.scope("backbone"):
        x = g.conv("conv0", x, g.channels(int(32 * alpha)), 3, stride=2, act=act)
        for index, (channels, block_stride) in enumerate(_V1_BLOCKS):
            with g.scope(f"block{index + 1}"):
                stride = strides.next_stride(block_stride)
                x = g.depthwise(
                    "depthwise", x, 3, stride=stride, dilation=strides.dilation, act=act
                )
                x = g.conv("pointwise", x, g.channels(int(channels * alpha)), act=act)
            outputs.append(x)
    return outputs


def inverted_residual(g: NetBuilder, x: Tensor, block: Block) -> Tensor:
    """Expand, filter per channel, optionally squeeze-and-excite, project; add if shapes allow."""
    y = x
    if block.hidden != x.shape[1]:
        y = g.conv("expand", y, block.hidden, act=block.act)
    y = g.depthwise(
        "depthwise", y, block.kernel, stride=block.stride, dilation=block.dilation, act=block.act
    )
    if block.squeeze:
        y = g.squeeze_excite(y, block.squeeze, act=block.squeeze_act, gate=block.gate)
    # A gate is near one half or above, which shrinks the variance.
    y = g.conv("project", y, block.channels, gain=2.0 if block.squeeze else 1.0)
    return g.add(y, x) if y.shape == x.shape else y


def mobilenetv2_body(g: NetBuilder, x: Tensor, *, output_stride: int = 32) -> Tensor:
    """Add the v2 body up to its last inverted residual block."""
    strides = _OutputStride(output_stride)
    with g.scope("backbone"):
        x = g.conv("conv0", x, g.channels(32), 3, stride=2, act="relu6")
        for stage_index, stage in enumerate(_V2_STAGES):
            for index in range(stage.blocks):
                stride = strides.next_stride(stage.stride if index == 0 else 1)
                block = Block(
                    hidden=x.shape[1] * stage.expand,
                    channels=g.channels(stage.channels),
                    stride=stride,
                    dilation=strides.dilation,
                )
                with g.scope(f"stage{stage_index + 1}.{index}"):
                    x = inverted_residual(g, x, block)
    return x


def mobilenetv1(g: NetBuilder, size: int) -> None:
    """Define MobileNet v1."""
    x = g.input("x", (1, 3, size, size))
    g.classifier(mobilenetv1_body(g, x)[-1], 1000)


def mobilenetv2(g: NetBuilder, size: int) -> None:
    """Define MobileNet v2."""
    x = mobilenetv2_body(g, g.input("x", (1, 3, size, size)))
    g.classifier(g.conv("conv_last", x, g.channels(1280), act="relu6"), 1000)


def _scaled(g: NetBuilder, block: Block) -> Block:
    return dataclasses.replace(
        block,
        hidden=g.channels(block.hidden),
        channels=g.channels(block.channels),
        squeeze=g.channels(block.squeeze) if block.squeeze else 0,
    )


def mobilenetv3(g: NetBuilder, size: int) -> None:
    """Define MobileNet v3-large."""
    x = g.input("x", (1, 3, size, size))
    x = g.conv("conv0", x, g.channels(16), 3, stride=2, act="hard_swish")
    for index, block in enumerate(_V3_BLOCKS):
        with g.scope(f"block{index + 1}"):
            x = inverted_residual(g, x, _scaled(g, block))
    x = g.conv("conv_last", x, g.channels(960), act="hard_swish")
    x = g.gemm("fc", g.flatten(g.global_pool(x)), g.channels(1280), "hard_swish")
    g.output("logits", g.gemm("classifier", x, 1000))


def efficientnet_b0(g: NetBuilder, size: int) -> None:
    """Define EfficientNet-B0."""
    x = g.input("x", (1, 3, size, size))
    x = g.conv("conv0", x, g.channels(32), 3, stride=2, act="silu")
    for stage_index, stage in enumerate(_EFFICIENTNET_STAGES):
        for index in range(g.repeats(stage.blocks)):
            block = Block(
                hidden=x.shape[1] * stage.expand,
                channels=g.channels(stage.channels),
                stride=stage.stride if index == 0 else 1,
                kernel=stage.kernel,
                squeeze=max(1, x.shape[1] // 4),
                act="silu",
                squeeze_act="silu",
                gate="sigmoid",
            )
            with g.scope(f"stage{stage_index + 1}.{index}"):
                x = inverted_residual(g, x, block)
    g.classifier(g.conv("conv_last", x, g.channels(1280), act="silu"), 1000)
