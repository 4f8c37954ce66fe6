"""Errors of a quantised model's tensors against the float model's, over samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import onnx

from .deviation import Deviation, DeviationSum
from .network import Network
from .samples import Array
from .task_values import TaskValue

__all__ = ["deviations"]

_GROUP_BYTES = 256 << 20
"""Of the float tensors that are held at a time; the quantised model's take as much again."""
_FLOAT_BYTES = 4


def deviations(
    float_model: onnx.ModelProto,
    quantized: onnx.ModelProto,
    values: Iterable[TaskValue],
    samples: Iterable[Mapping[str, Array]],
    progress: Callable[[int], None] = lambda _done: None,
) -> dict[TaskValue, Deviation]:
    """Error of each of `values`.

    Parameters
    ----------
    float_model, quantized
        The models.
    values
        Tensors to compare.
    samples
        Inputs by name; read once, one in memory at a time.
    progress
        Called with the number of samples that are done.
    """
    wanted = list(dict.fromkeys(values))
    reference = Network(float_model, [value.float_name for value in wanted])
    network = Network(quantized, [value.name for value in wanted])
    sums = {value: DeviationSum() for value in wanted}
    groups = list(_groups(wanted, _sizes(float_model)))
    for done, sample in enumerate(samples, start=1):
        for group in groups:
            expected = reference.run(sample, _distinct(value.float_name for value in group))
            got = network.run(sample, _distinct(value.name for value in group))
            for value in group:
                sums[value].add(expected[value.float_name], got[value.name])
        progress(done)
    return {value: total.result() for value, total in sums.items()}


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _groups(values: Sequence[TaskValue], sizes: Mapping[str, int]) -> Iterator[list[TaskValue]]:
    """`values` in groups that fit in memory."""
    group: list[TaskValue] = []
    size = 0
    for value in values:
        own = sizes.get(value.float_name, 0)
        if group and size + own > _GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(value)
        size += own
    if group:
        yield group


def _sizes(model: onnx.ModelProto) -> dict[str, int]:
    graph = model.graph
    return {
        value.name: _FLOAT_BYTES * math.prod(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
