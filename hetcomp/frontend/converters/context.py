"""What a converter sees of the node that it converts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from hetcomp.passes.relax_values import constant_value

__all__ = ["NodeContext"]


@dataclass(frozen=True)
class NodeContext:
    """One ONNX node with its inputs already converted.

    Attributes
    ----------
    node
        The node itself.
    inputs
        Relax expressions, None for an absent optional input.
    attributes
        Attribute values as Python objects; strings are bytes, lists are tuples.
    opset
        Version of the standard operator set.
    dims
        Static extents of the first output as ONNX infers them, or None.
    softplus_input
        The input of the ``Softplus`` that makes input 0, or None.
    """

    node: onnx.NodeProto
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any]
    opset: int
    dims: tuple[int, ...] | None
    softplus_input: Any = None

    def input(self, index: int) -> Any:
        """Return input `index`, or None where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def constant(self, index: int) -> np.ndarray | None:
        """Return the value of input `index` if it is constant."""
        return constant_value(self.input(index))
