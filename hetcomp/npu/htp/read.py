"""Reads the operators of tasks as quantised layers, and says which have no such form."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hetcomp.npu.operators import Operator, Product, Reduction, Value, WindowProduct
from hetcomp.npu.refused import Refused
from hetcomp.plan.graph import Space, TaskGraph

from .layers import (
    Array,
    Float,
    Layer,
    Linear,
    MaxPool,
    Requantise,
    Term,
    Window,
    WindowLayer,
    tensor_name,
)
from .sums import ACCUMULATOR, Sum
from .terms import Constants, TermReader

__all__ = ["read_layers"]

_WORD = 4
_BIAS = np.iinfo(np.int32)
_BIAS_ERROR = 0.05
"""Quanta of the output that a bias may lose by being rounded to an integer."""
_MAP_RANK = 4
_SPATIAL = ("height", "width")


def read_layers(
    operator: Operator,
    task: int,
    graph: TaskGraph,
    constants: Constants,
    floats: Mapping[str, Float],
) -> tuple[Layer, ...]:
    """The layers of one task, in order; `floats` are those of tasks before it.

    Raises
    ------
    Refused
        It computes what is no quantised layer.
    """
    _check_tensors(operator, graph)
    return _LayerReader(operator, task, graph, constants, floats).read()


def _check_tensors(operator: Operator, graph: TaskGraph) -> None:
    for index in (*operator.operands, operator.output):
        tensor = graph.tensors[index]
        if tensor.space is Space.ARENA and tensor.alias_of is not None:
            raise Refused("a tensor of it is a part, or another view, of another one")


class _LayerReader:
    def __init__(
        self,
        operator: Operator,
        task: int,
        graph: TaskGraph,
        constants: Constants,
        floats: Mapping[str, Float],
    ) -> None:
        self._operator, self._constants, self._graph = operator, constants, graph
        self._layers: list[Layer] = []
        self._terms = TermReader(
            operator, task, graph, constants, floats, self._rounded, self._layers.append
        )

    def read(self) -> tuple[Layer, ...]:
        core = self._operator.core
        if isinstance(core, Reduction):
            return (self._pool(core),)
        stored = self._terms.read()
        if not stored.bytes_itself:
            self._layers.append(self._float(stored))
        elif stored.bytes_itself != tensor_name(self._operator.output):
            raise Refused("it moves bytes, which the CPU does as well")
        return tuple(self._layers)

    def _rounded(self, name: str, value: Sum, zero_point: int) -> None:
        if ACCUMULATOR in value.factors:
            self._layers.append(self._product(name, value, zero_point))
        else:
            self._layers.append(_requantise(name, value, zero_point))

    def _float(self, stored: Sum) -> Float:
        if len(stored.factors) != 1 or ACCUMULATOR in stored.factors:
            raise Refused("it makes floats of more than bytes")
        ((source, factor),) = stored.factors.items()
        name = tensor_name(self._operator.output)
        return Float(name, source, _one(factor), _one(stored.offset))

    def _product(self, name: str, value: Sum, zero_point: int) -> WindowLayer | Linear:
        if len(value.factors) > 1:
            raise Refused("it adds to a product before that is rounded")
        core, factor = self._operator.core, value.factors[ACCUMULATOR]
        if isinstance(core, WindowProduct):
            weights = self._window_weights(core)
            total = weights.reshape(len(weights), -1).sum(axis=1, dtype=np.int64)
            bias = _bias(value, factor) + core.pad_value * total
            return WindowLayer(
                name,
                self._source(core.data),
                weights,
                _as_bias(bias),
                factor,
                zero_point,
                core.pad_value,
                _window_of(core),
                core.groups,
            )
        assert isinstance(core, Product)
        if self._operator.kind != "linear":
            raise Refused("it multiplies activations with each other")
        if len(self._graph.tensors[self._operator.operands[core.left]].shape) >= _MAP_RANK:
            raise Refused("it multiplies a map by a matrix")
        words = self._constants(self._operator.operands[core.right])
        bias = np.broadcast_to(_bias(value, factor), (core.columns,))
        return Linear(
            name, self._source(core.left), _unpacked(words), _as_bias(bias), factor, zero_point
        )

    def _source(self, operand: int) -> str:
        return tensor_name(self._operator.operands[operand])

    def _window_weights(self, core: WindowProduct) -> Array:
        """`[out channels, in channels of a group, height, width]`."""
        array = self._constants(self._operator.operands[core.weights])
        if self._operator.kind == "conv2d":
            array = _unpacked(array)
        else:
            array = np.moveaxis(array, -1, -2)  # [height][width][channels][1]
            return np.ascontiguousarray(np.transpose(array, (2, 3, 0, 1)))
        return np.ascontiguousarray(np.transpose(array, (3, 2, 0, 1)))

    def _pool(self, core: Reduction) -> MaxPool:
        shape = self._graph.tensors[self._operator.operands[0]].shape
        plain = [value[0] for value in self._operator.values] == ["acc"]
        if core.combiner != "max" or core.dtype != "uint8" or not plain:
            raise Refused("of reductions, Qualcomm's layers take the largest byte of a window")
        loads = [value for value in core.values if value[0] == "load"]
        if len(self._operator.operands) != 1 or len(loads) != 1 or len(shape) != _MAP_RANK:
            raise Refused("it reduces more than one map")
        window = _pool_window(loads[0], shape, self._operator.shape, core.extents)
        return MaxPool(tensor_name(self._operator.output), self._source(0), window)


def _unpacked(words: Array) -> Array:
    """Words of four bytes along the depth to `[..., depth, columns]` bytes."""
    *lead, groups, columns = words.shape
    grouped = np.ascontiguousarray(words).view(np.int8).reshape(*lead, groups, columns, _WORD)
    return np.moveaxis(grouped, -1, -2).reshape(*lead, groups * _WORD, columns)


def _one(number: Array) -> float:
    if np.unique(number).size != 1:
        raise Refused("its output has a scale a channel")
    return float(np.ravel(number)[0])


def _bias(value: Sum, factor: Array) -> Array:
    """What is added to the accumulator."""
    exact = value.offset / factor
    bias = np.rint(exact)
    if np.max(np.abs((bias - exact) * factor), initial=0.0) > _BIAS_ERROR:
        raise Refused("its bias is no multiple of the scale of its products")
    return bias


def _as_bias(bias: Array) -> Array:
    if np.max(np.abs(bias), initial=0.0) > _BIAS.max:
        raise Refused("its bias does not fit in 32 bits")
    return bias.astype(np.int32)


def _requantise(name: str, value: Sum, zero_point: int) -> Layer:
    terms = tuple(Term(source, _one(factor)) for source, factor in value.factors.items())
    if len(terms) not in (1, 2) or any(term.factor <= 0 for term in terms):
        raise Refused("it adds more than two tensors, or subtracts")
    # The zero point of a sum of two is within its offset.
    known = zero_point if len(terms) == 1 else None
    return Requantise(name, terms, _one(value.offset) + zero_point, known)


def _window_of(core: WindowProduct) -> Window:
    kernel, strides = (core.kernel_h, core.kernel_w), (core.stride_h, core.stride_w)
    dilations = (core.dilation_h, core.dilation_w)
    first = (core.pad_top, core.pad_left)
    given, made = (core.height, core.width), (core.out_height, core.out_width)
    return _window(kernel, strides, dilations, first, given, made)


def _window(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    first: tuple[int, int],
    given: tuple[int, int],
    made: tuple[int, int],
) -> Window:

    def last(axis: int) -> int:
        span = (kernel[axis] - 1) * dilations[axis] + 1
        return max(0, (made[axis] - 1) * strides[axis] + span - given[axis] - first[axis])

    return Window(kernel, strides, dilations, (*first, last(0), last(1)))


def _pool_window(
    load: Value, given: tuple[int, ...], made: tuple[int, ...], kernel: tuple[int, ...]
) -> Window:
    """The window of a load over `(batch, height, width, channel, kernel height, kernel width)`."""
    _, _, _, offset, steps = load
    _, height, width, channels = given
    row, pixel = width * channels, channels
    if len(kernel) != len(_SPATIAL) or made[0] != given[0] or made[3] != channels:
        raise Refused("it reduces along more than height and width")
    strides = _steps(steps[1:3], made[1:3], (row, pixel))
    dilations = _steps(steps[4:6], kernel, (row, pixel))
    if steps[0] != (height * row if made[0] > 1 else 0) or steps[3] != int(channels > 1):
        raise Refused("it reads a map in another order")
    top, rest = divmod(-offset, row)
    left, rest = divmod(rest, pixel)
    if offset > 0 or rest:
        raise Refused("its window begins within the map")
    first = (top, left)
    return _window(
        (kernel[0], kernel[1]), strides, dilations, first, (height, width), (made[1], made[2])
    )


def _steps(
    found: tuple[int, ...], extents: tuple[int, ...], units: tuple[int, int]
) -> tuple[int, int]:
    """Steps in rows and pixels, 1 where there is but one place."""
    result = []
    for step, extent, unit in zip(found, extents, units, strict=True):
        if step % unit:
            raise Refused("it reads a map in another order")
        result.append(step // unit if extent > 1 else 1)
    return result[0], result[1]
