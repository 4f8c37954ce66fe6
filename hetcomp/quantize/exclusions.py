"""Operators that are better left in float without being asked: which, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import onnx

from .operators import ACTIVATIONS, ARITHMETIC, operators
from .ranges import Ranges

__all__ = ["exclusions", "unbounded"]

_NOT_FINITE = "values of it are not finite"
_FOR_FLOATS = "only operators in float read it"

_MOVES = (
    *("Concat", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Reshape", "Slice"),
    *("Split", "Squeeze", "Transpose", "Unsqueeze"),
)
"""What passes bytes on as it passes on floats."""


def exclusions(model: onnx.ModelProto, ranges: Ranges) -> Mapping[str, str]:
    """Reasons by name of operator.

    Sums that no product reads gain nothing by being rounded to bytes, and lose much where they add
    a mask of -10000 to what goes into a softmax, or outliers to what is normalised.
    """
    found = dict.fromkeys(_sums_for_floats(model), _FOR_FLOATS)
    return {**found, **dict.fromkeys(unbounded(model, ranges), _NOT_FINITE)}


def unbounded(model: onnx.ModelProto, ranges: Ranges) -> tuple[str, ...]:
    """Names of operators that read or write values of unknown range, such as a mask of -inf."""
    constants = {tensor.name for tensor in model.graph.initializer}
    known = constants | ranges.keys()
    return tuple(
        node.name
        for node in operators(model)
        if not known.issuperset({*node.input, *node.output} - {""})
    )


def _sums_for_floats(model: onnx.ModelProto) -> list[str]:
    """Sums that reach no product, but for other sums of this kind, moves and activations."""
    readers: dict[str, list[str]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node.name)
    to_bytes: set[str] = set()
    sums: list[str] = []
    for node in reversed(model.graph.node):
        if node.op_type in ("Add", *ACTIVATIONS, *_MOVES):
            if not to_bytes.isdisjoint(name for out in node.output for name in readers[out]):
                to_bytes.add(node.name)
            elif node.op_type == "Add":
                sums.append(node.name)
        elif node.op_type in ARITHMETIC:
            to_bytes.add(node.name)
    return sums[::-1]
