"""Writes the ONNX graph of a synthetic model: independent layers, each with inputs of its own.

Images enter and leave channels-last, as they lie between the layers of a network: a layer that
read the graph's own channels-first input would be another kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike, NDArray
from onnx import helper, numpy_helper

__all__ = ["GraphWriter"]

_OPSET = 17
_IR_VERSION = 9
_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
_PATTERN = (1 << 20) + 17
"""Weights repeat this many random numbers, each from another start, so that none are equal."""
_WEIGHT_SCALE = 0.02


class GraphWriter:
    """Collects nodes and weights; names begin with the layer that is being written."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        values = self._rng.standard_normal(_PATTERN, dtype=np.float32)
        self._values = values * np.float32(_WEIGHT_SCALE)
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._weights: list[Any] = []
        self._layer, self._count = "", 0

    def begin(self, layer: str) -> None:
        """Nodes from now on belong to `layer`."""
        self._layer, self._count = layer, 0

    def input(self, *shape: int, dtype: DTypeLike = np.float32) -> str:
        """A graph input of this shape."""
        name = self._name("input")
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def image(self, height: int, width: int, channels: int, dtype: DTypeLike = np.float32) -> str:
        """A channels-last input, seen channels-first."""
        x = self.input(1, height, width, channels, dtype=dtype)
        return self.op("Transpose", x, perm=_TO_NCHW)

    def output(self, value: str) -> None:
        """Make `value` a graph output."""
        self._outputs.append(helper.make_empty_tensor_value_info(value))

    def image_output(self, value: str) -> None:
        """Make a channels-first `value` a graph output that lies channels-last."""
        self.output(self.op("Transpose", value, perm=_TO_NHWC))

    def weight(self, *shape: int) -> str:
        """Random weights."""
        start = int(self._rng.integers(_PATTERN))
        values = np.resize(np.roll(self._values, -start), shape)
        return self.constant(values)

    def scalar(self, value: float) -> str:
        """A constant."""
        return self.constant(np.array(value, np.float32))

    def integers(self, *values: int) -> str:
        """A constant list of integers."""
        return self.constant(np.array(values, np.int64))

    def floats(self, *values: float) -> str:
        """A constant list of floats."""
        return self.constant(np.array(values, np.float32))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return its output."""
        name = self._name(kind)
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def split(self, value: str, parts: int, axis: int) -> Sequence[str]:
        """Add a node that cuts `value` into equal parts."""
        name = self._name("Split")
        names = [f"{name}.{part}" for part in range(parts)]
        self._nodes.append(helper.make_node("Split", [value], names, name=name, axis=axis))
        return names

    def model(self, name: str) -> onnx.ModelProto:
        """All that was written, as a model."""
        graph = helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, initializer=self._weights
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)

    def constant(self, values: NDArray[Any]) -> str:
        """A constant of these values."""
        name = self._name("constant")
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{self._layer}.{kind}{self._count}"
