"""Accumulators of one work-item: vectors of floats, or of int32 for products of bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from ..blocks.frame import Frame
from ..int8.dot import dot

__all__ = ["clear", "multiply_add", "store_bytes"]


def clear(frame: Frame, cells: Sequence[Any]) -> None:
    """Set all accumulators to zero."""
    for cell in cells:
        with T.vectorized(0, frame.facts.lanes) as lane:
            frame.store(cell, lane, tirx.const(0, str(cell.dtype)))


def multiply_add(frame: Frame, cell: Any, left: Any, right: Any) -> None:
    """`cell += left * right` for a scalar and a vector; words of four bytes where it has int32."""
    lanes = frame.facts.lanes
    if str(cell.dtype) == "int32":
        whole = tirx.Ramp(0, 1, lanes) if lanes > 1 else 0
        frame.store(cell, whole, dot(frame.facts, cell[whole], left, right[whole], lanes))
        return
    with T.vectorized(0, lanes) as lane:
        frame.store(cell, lane, cell[lane] + left * right[lane])


def store_bytes(frame: Frame, cells: Sequence[Any], store: Callable[[Any, Any, Any], None]) -> None:
    """`store(cell's number, lane, value)` in loops: TVM prints no vectors of bytes, and the text of
    an integer epilogue is long."""
    lanes = frame.facts.lanes
    stack = frame.local("stack", len(cells) * lanes, "int32")
    for step, cell in enumerate(cells):
        with T.vectorized(0, lanes) as lane:
            frame.store(stack, step * lanes + lane, cell[lane])
    with frame.loop(len(cells)) as step, frame.loop(lanes) as lane:
        store(step, lane, stack[step * lanes + lane])
