"""The values the frontend hands over: ``TensorSpec`` and ``ImportedModel``."""

from dataclasses import dataclass
from typing import Any

import onnx

from hetcomp.frontend.weights import Weights

__all__ = ["ImportedModel", "TensorSpec"]


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and element type of a model input or output.

    Attributes
    ----------
    name
        The original ONNX name, whatever characters it has.
    shape
        Extents; -1 marks an output extent that depends on the data (``NonZero`` and the like).
    dtype
        NumPy's name of the element type, ``"float32"``, ``"int64"``, ``"bfloat16"`` …
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class ImportedModel:
    """A model as Relax sees it, with the ONNX names that users know.

    Attributes
    ----------
    mod
        ``tvm.IRModule`` with one Relax function ``main``; its parameters are the run-time inputs
        in the order of `inputs`, weights are constants.  One output is returned bare, several as
        a tuple in the order of `outputs`.  Bindings are named after the ONNX tensors.
    inputs, outputs
        The signature, in ONNX order.
    model
        The folded, static ONNX model that was converted; every node has a unique name. Large
        weights are references to `weights`.
    name
        The graph's name, or the file's stem where the graph has none.
    weights
        What large weights refer to; the constants of `mod` share its memory.
    """

    mod: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    model: onnx.ModelProto
    name: str
    weights: Weights
