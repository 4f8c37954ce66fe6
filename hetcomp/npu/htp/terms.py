"""Reads the scalar values of an operator as sums that are rounded to bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hetcomp.npu.operators import Operator, Value
from hetcomp.npu.refused import Refused
from hetcomp.plan.graph import Space, TaskGraph

from .layers import Clip, Float, tensor_name
from .sums import ACCUMULATOR, Sum

__all__ = ["Constants", "TermReader"]

Array = np.ndarray[Any, Any]
Constants = Callable[[int], Array]
"""The array of a constant tensor of the task graph."""

RoundSum = Callable[[str, Sum, int], None]
"""Takes the name of bytes, the sum that they are rounded from less the zero point, and that."""

_BYTE = range(256)
_ARITHMETIC = {"add", "sub", "mul", "div", "fma"}


class TermReader:
    """Reads one operator; bytes that it makes are handed to `rounded` and `clipped` in order."""

    def __init__(
        self,
        operator: Operator,
        task: int,
        graph: TaskGraph,
        constants: Constants,
        floats: Mapping[str, Float],
        rounded: RoundSum,
        clipped: Callable[[Clip], None],
    ) -> None:
        self._operator, self._task = operator, task
        self._graph, self._constants = graph, constants
        self._floats, self._rounded, self._clipped = floats, rounded, clipped
        self._known: dict[int, Sum] = {}

    def read(self) -> Sum:
        """What the operator stores."""
        return self._sum(len(self._operator.values) - 1)

    def _sum(self, place: int) -> Sum:
        if place not in self._known:
            self._known[place] = self._read(place, self._operator.values[place])
        return self._known[place]

    def _read(self, place: int, value: Value) -> Sum:
        operation, dtype = value[:2]
        if operation == "acc":
            return Sum.of(ACCUMULATOR)
        if operation == "load":
            return self._load(*value[1:])
        if operation == "const":
            return Sum.constant(value[2])
        if operation == "cast":
            return self._cast(place, dtype, value[2])
        if operation in _ARITHMETIC and dtype in ("float32", "int32"):
            return _arithmetic(operation, [self._sum(argument) for argument in value[2:]])
        if operation in ("max", "min") and dtype == "uint8":
            return self._clip(place, operation, *value[2:])
        raise Refused(f"Qualcomm's layers have no '{operation}' of {dtype}")

    def _load(self, dtype: str, operand: int, offset: int, steps: tuple[int, ...]) -> Sum:
        index = self._operator.operands[operand]
        tensor = self._graph.tensors[index]
        if tensor.space is Space.CONSTANT:
            return Sum.constant(self._along_channels(index, offset, steps))
        name = tensor_name(index)
        if dtype != "uint8" and name not in self._floats:
            raise Refused(f"it reads {dtype}, which the CPU quantises")
        if offset or steps != _dense_steps(self._operator.shape):
            raise Refused("it reads a tensor in another order")
        if dtype == "uint8":
            return Sum.of(name)
        made = self._floats[name]
        return Sum({made.source: np.float64(made.scale)}, np.float64(made.offset))

    def _along_channels(self, index: int, offset: int, steps: tuple[int, ...]) -> Array:
        """A constant as one number, or as one an element of the last axis."""
        array = np.ravel(self._constants(index))
        if not any(steps):
            return np.asarray(array[offset], np.float64)
        if any(steps[:-1]):
            raise Refused("a constant of it varies along more than the channels")
        return array[offset + steps[-1] * np.arange(self._operator.shape[-1])].astype(np.float64)

    def _cast(self, place: int, dtype: str, argument: int) -> Sum:
        source = self._operator.values[argument][1]
        if dtype == "uint8" and source == "float32":
            return self._round(place, argument)
        if source == "float32" or dtype not in ("float32", "int32"):
            raise Refused(f"Qualcomm's layers have no cast of {source} to {dtype}")
        return self._sum(argument)

    def _round(self, place: int, argument: int) -> Sum:
        """`x` limited, pushed to where float32 has no fractions, and moved by the zero point."""
        moved, back = self._pair(argument, "sub")
        limited, push = self._pair(moved, "add")
        floor, high = self._pair(limited, "min")
        value, low = self._pair(floor, "max")
        zero_point = round(push - back)
        if (round(low) + zero_point, round(high) + zero_point) != (_BYTE[0], _BYTE[-1]):
            raise Refused(f"it saturates at {low:g} and {high:g} on a grid around {zero_point}")
        name = self._name(place)
        self._rounded(name, self._sum(value), zero_point)
        return Sum.of(name)

    def _pair(self, place: int, operation: str) -> tuple[int, float]:
        """The value and the constant that an operation joins."""
        value = self._operator.values[place]
        if value[0] != operation:
            raise Refused(f"it makes bytes by '{value[0]}', not by rounding")
        return value[2], self._sum(value[3]).number()

    def _clip(self, place: int, operation: str, left: int, right: int) -> Sum:
        source, limit = self._sum(left), round(self._sum(right).number())
        if not source.bytes_itself or source.bytes_itself == ACCUMULATOR:
            raise Refused("it compares activations")
        low, high = (limit, _BYTE[-1]) if operation == "max" else (_BYTE[0], limit)
        name = self._name(place)
        self._clipped(Clip(name, source.bytes_itself, low, high))
        return Sum.of(name)

    def _name(self, place: int) -> str:
        """Of the bytes that a value makes: the output's tensor if it is the last."""
        last = place == len(self._operator.values) - 1
        return tensor_name(self._operator.output) if last else f"q{self._task}.{place}"


def _arithmetic(operation: str, arguments: list[Sum]) -> Sum:
    first, second = arguments[:2]
    if operation == "add":
        return first.plus(second)
    if operation == "sub":
        return first.plus(second.scaled(np.float64(-1.0)))
    if operation == "div":
        return first.over(second)
    product = first.times(second)
    return product.plus(arguments[2]) if operation == "fma" else product


def _dense_steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements from one place to the next along each axis; 0 where there is but one."""
    steps, step = [], 1
    for extent in reversed(shape):
        steps.append(step if extent > 1 else 0)
        step *= extent
    return tuple(reversed(steps))
