"""Instructions of one statement: arithmetic, and loads and stores by the way they touch memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import ir, tirx
from tvm.ir.expr import TensorLoad

from hetcomp.cost.instruction_mix import InstructionMix

from .expression import dtype_of
from .strides import LINE_BYTES, place_of

__all__ = ["COUNTS", "Instructions", "Lane", "item_bytes"]

COUNTS = tuple(item.name for item in fields(InstructionMix) if item.name != "iterations")
"""What is counted of a statement."""
_PLACES = {name: place for place, name in enumerate(COUNTS)}
_BINARY = (
    *(tirx.Add, tirx.Sub, tirx.Mul, tirx.Min, tirx.Max, tirx.LT, tirx.LE, tirx.GT, tirx.GE),
    *(tirx.EQ, tirx.NE, tirx.And, tirx.Or, tirx.LShift, tirx.RShift),
    *(tirx.BitwiseAnd, tirx.BitwiseOr, tirx.BitwiseXor),
)
_HEAVY = (tirx.Div, tirx.Mod, tirx.FloorDiv, tirx.FloorMod)
_PAGE = 4096
"""Addresses so far apart share a set of the first-level cache."""
_FREE_CALLS = ("tirx.address_of", "tirx.reinterpret")

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Lane:
    """The vectorised loop that a statement stands in: its variable and extent."""

    var: Any = None
    extent: int = 1


class Instructions:
    """Counts instructions of statements of one kernel.

    Attributes
    ----------
    tiles
        Buffers that stay in registers.
    """

    def __init__(self, register_bytes: int) -> None:
        self.tiles: set[Any] = set()
        self._register_bytes = register_bytes
        self._defined: dict[Any, Any] = {}

    def define(self, target: Any, value: Any) -> None:
        """`value` stands behind a variable, or a buffer of one integer."""
        self._defined[target] = value

    def of_value(self, expr: Any, lane: Lane) -> Counts:
        """What computing `expr` takes, its loads included."""
        counts = _none()
        self._add_value(counts, expr, lane)
        return counts

    def of_store(self, node: tirx.BufferStore, lane: Lane) -> Counts:
        """What a store takes, its value included."""
        counts = self.of_value(node.value, lane)
        if node.buffer not in self.tiles:
            lanes = max(lane.extent, _lanes(dtype_of(node.value)))
            self._add_access(counts, node.buffer, node.indices[-1], lane, lanes, store=True)
        return counts

    def _add_value(self, counts: Counts, expr: Any, lane: Lane) -> None:
        kind = type(expr)
        if kind is TensorLoad:
            if expr.source not in self.tiles:
                lanes = max(lane.extent, _lanes(dtype_of(expr)))
                self._add_access(counts, expr.source, expr.indices[-1], lane, lanes, store=False)
            return
        for operand in _operands(expr):
            self._add_value(counts, operand, lane)
        if kind in _COUNTED and not (_is_free(expr) or _is_fused(expr)):
            self._add_operation(counts, expr, lane)

    def _add_operation(self, counts: Counts, expr: Any, lane: Lane) -> None:
        dtype = dtype_of(expr)
        lanes = max(lane.extent, _lanes(dtype))
        weight = "heavy" if isinstance(expr, (*_HEAVY, ir.Call)) else "ops"
        name = f"{'scalar' if lanes == 1 else 'vector'}_{weight}"
        counts[_PLACES[name]] += -(-lanes * item_bytes(dtype) // self._register_bytes)

    def _add_access(
        self, counts: Counts, buffer: Any, index: Any, lane: Lane, lanes: int, *, store: bool
    ) -> None:
        place, item = place_of(index, self._defined), item_bytes(buffer.dtype)
        counts[_PLACES["index_ops"]] += place.stepless
        if lanes == 1:
            counts[_PLACES["scalar_stores" if store else "scalar_loads"]] += 1
            return
        stride = _ramp_stride(index) if lane.var is None else place.stride(lane.var)
        if stride == 0:
            counts[_PLACES["broadcasts"]] += 1
        elif stride == 1:
            registers = -(-lanes * item // self._register_bytes)
            counts[_PLACES["vector_stores" if store else "vector_loads"]] += registers
            size = min(lanes * item, self._register_bytes)
            beyond = max(0, size - place.alignment(lane.var, item))
            counts[_PLACES["crossings"]] += registers * beyond / LINE_BYTES
        else:
            step = item * abs(stride or 0)
            counts[_PLACES["scattered" if store else "gathered"]] += lanes
            counts[_PLACES["gather_bytes"]] += lanes * step
            counts[_PLACES["gather_alias"]] += lanes * math.gcd(step, _PAGE)


_COUNTED = (*_BINARY, *_HEAVY, tirx.Select, tirx.Cast, tirx.Shuffle, ir.Call)


def _none() -> Counts:
    return np.zeros(len(COUNTS))


def _operands(expr: Any) -> Iterator[Any]:
    kind = type(expr)
    if kind in _BINARY or kind in _HEAVY:
        yield from (expr.a, expr.b)
    elif kind is tirx.Select:
        yield from (expr.condition, expr.true_value, expr.false_value)
    elif kind is tirx.Let:
        yield from (expr.value, expr.body)
    elif kind in (tirx.Cast, tirx.Broadcast):
        yield expr.value
    elif kind is tirx.Shuffle:
        yield from expr.vectors
    elif kind is ir.Call:
        yield from expr.args


def _ramp_stride(index: Any) -> int | None:
    """Of a vector's index; one that is no ramp loads a vector from where it points."""
    if type(index) is not tirx.Ramp:
        return 1
    return int(index.stride.value) if type(index.stride) is tirx.IntImm else None


def _is_free(expr: Any) -> bool:
    return isinstance(expr, ir.Call) and getattr(expr.op, "name", "") in _FREE_CALLS


def _is_fused(expr: Any) -> bool:
    """Whether it is the sum of a product, which one instruction does."""
    if type(expr) not in (tirx.Add, tirx.Sub) or not dtype_of(expr).startswith("float"):
        return False
    return tirx.Mul in (type(expr.a), type(expr.b))


@cache
def _lanes(dtype: str) -> int:
    return int(tvm.DataType(dtype).lanes)


@cache
def _item_bytes(dtype: str) -> int:
    return -(-int(tvm.DataType(dtype).bits) // 8)


def item_bytes(dtype: Any) -> int:
    """Bytes of one element."""
    return _item_bytes(str(dtype))
