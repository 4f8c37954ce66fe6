"""Random quantised layers of every kind, each with the output that NumPy's integers give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx
from kernel_harness import Array
from quantized_layers import attention_products, conv_layers, linear_layers
from quantized_models import QuantizedLayer


@dataclass(frozen=True)
class QuantizedCase:
    """A model of one layer, its inputs, the exact output, and kinds that its task may have."""

    model: onnx.ModelProto
    feeds: dict[str, Array]
    expected: Array
    kinds: frozenset[str]


def case_of(layer: QuantizedLayer, *kinds: str) -> QuantizedCase:
    return QuantizedCase(layer.model(), {"x": layer.x}, layer.oracle(), frozenset(kinds))


def case_of_product(drawn: tuple[onnx.ModelProto, dict[str, Array], Array]) -> QuantizedCase:
    return QuantizedCase(*drawn, frozenset({"matmul"}))


def _case_of_conv(layer: QuantizedLayer) -> QuantizedCase:
    return case_of(layer, "conv2d", "depthwise")


QUANTIZED_FAMILIES: dict[str, Any] = {
    "linear": linear_layers().map(lambda layer: case_of(layer, "linear")),
    "convolution": conv_layers().map(_case_of_conv),
    "depthwise": conv_layers(depthwise=True).map(_case_of_conv),
    "product": attention_products().map(case_of_product),
}
