"""Which operators are quantised: those for which there are integer kernels."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

import onnx

from hetcomp.errors import InputError

__all__ = ["ACTIVATIONS", "ARITHMETIC", "check_names", "operators"]

ARITHMETIC = ("Conv", "Gemm", "MatMul", "Add")
"""What computes; each of them may be left in float."""

ACTIVATIONS = ("Relu", "Clip")
"""What the quantiser removes: the limits of the output's range do the same."""


def operators(model: onnx.ModelProto) -> tuple[onnx.NodeProto, ...]:
    """Nodes of a float model that can be quantised, in the model's order, without activations."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in _values(model)}
    return tuple(
        node
        for node in model.graph.node
        if node.op_type in ARITHMETIC and kinds.get(node.output[0]) == onnx.TensorProto.FLOAT
    )


def check_names(names: Collection[str], found: Sequence[onnx.NodeProto]) -> None:
    """Refuse names that no operator in `found` has.

    Raises
    ------
    InputError
        Names like the unknown one are listed.
    """
    known = [node.name for node in found]
    for name in names:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise InputError(
            f"keep_float: the model has no operator '{name}' that would be quantised; the nearest "
            f"of {len(known)} names: {', '.join(near)}"
        )


def _values(model: onnx.ModelProto) -> Sequence[onnx.ValueInfoProto]:
    return [*model.graph.value_info, *model.graph.output]
