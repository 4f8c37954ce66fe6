"""The layers that kernels are measured on: their sizes, and how they are written as ONNX.

All sizes are plain integers, so that a layer goes into the log and comes back as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import onnx

from hetcomp.errors import InputError
from hetcomp.profile import movers, products, quantized
from hetcomp.profile.weightless import Weightless
from hetcomp.profile.writer import GraphWriter

__all__ = [
    "Layer",
    "Touch",
    "layer_from_json",
    "layer_text",
    "layer_to_json",
    "model_of",
    "touch_of",
]


class Layer(Protocol):
    """Something to measure: a frozen dataclass of integers."""

    family: ClassVar[str]

    @property
    def flops(self) -> float:
        """Operations, to keep the work of a shape in range."""

    @property
    def activations(self) -> int:
        """Floats of its inputs and outputs."""

    @property
    def weights(self) -> int:
        """Floats of its weights."""

    def write(self, g: GraphWriter) -> None:
        """Write its nodes."""


@dataclass(frozen=True)
class Touch(Weightless):
    """An element-wise kernel over a plain block, to bring memory into a cache or out of it."""

    family: ClassVar[str] = "touch"
    rows: int
    columns: int

    @property
    def flops(self) -> float:
        """One operation an element."""
        return float(self.rows * self.columns)

    @property
    def activations(self) -> int:
        """Input and output."""
        return 2 * self.rows * self.columns

    def write(self, g: GraphWriter) -> None:
        """One function."""
        g.output(g.op("Relu", g.input(self.rows, self.columns)))


_TOUCH_COLUMNS = 1024


def touch_of(floats: int) -> Touch:
    """One over a block of at least so many floats."""
    return Touch(-(-floats // _TOUCH_COLUMNS), _TOUCH_COLUMNS)


_CLASSES: tuple[Any, ...] = (
    *(products.Conv2d, products.Depthwise, products.Linear, products.MatMul, products.Attention),
    *(products.Grouped, quantized.QuantizedConv2d, quantized.QuantizedDepthwise),
    *(quantized.QuantizedLinear, quantized.QuantizedAdd),
    *(movers.Pool, movers.Softmax, movers.LayerNorm, movers.Elementwise, movers.Concat),
    *(movers.Transpose, movers.Resize, Touch),
)
_BY_FAMILY = {kind.family: kind for kind in _CLASSES}


def layer_to_json(layer: Any) -> dict[str, Any]:
    """Plain data for `json.dumps`."""
    return {"family": layer.family, **asdict(layer)}


def layer_from_json(data: Mapping[str, Any]) -> Layer:
    """Inverse of `layer_to_json`.

    Raises
    ------
    InputError
        The family or a size is not known.
    """
    sizes = dict(data)
    family = sizes.pop("family", "")
    if family not in _BY_FAMILY:
        raise InputError(f"no layer family '{family}'; expected one of {', '.join(_BY_FAMILY)}")
    try:
        layer: Layer = _BY_FAMILY[family](**sizes)
    except TypeError as error:
        raise InputError(f"layer of family '{family}': {error}") from error
    return layer


def layer_text(layer: Any) -> str:
    """Family and sizes in one line: equal for equal layers."""
    return " ".join([layer.family, *(f"{key}={value}" for key, value in asdict(layer).items())])


def model_of(layers: Sequence[Layer], seed: int) -> onnx.ModelProto:
    """One model of independent layers; nodes of layer i have names that begin with `Li.`."""
    writer = GraphWriter(seed)
    for number, layer in enumerate(layers):
        writer.begin(f"L{number}")
        layer.write(writer)
    return writer.model("synthetic")
