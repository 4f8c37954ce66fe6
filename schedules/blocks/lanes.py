"""Vectors whose lanes are picked by tables that are known when compiling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from ..program import NotStaged, Program
from ..rowwise.layout import row_layout
from .frame import Frame, i32

__all__ = ["Lines", "lines_of", "power_of_two", "shuffled", "vector"]


@dataclass(frozen=True)
class Lines:
    """A dense output as lines of `columns` along its last axis, `each` of them a row tile."""

    each: int
    columns: int


def lines_of(program: Program) -> Lines:
    """The lines of a program of one stage, on the tiles that it has as a row-wise program.

    Raises
    ------
    NotStaged
        Something is fused, or lies in 16 bits or in slices of wider tensors.
    """
    layout, shape = row_layout(program), program.stages[-1].shape
    if len(program.stages) != 1 or program.halves or program.pitches or layout.blocks > 1:
        raise NotStaged("more than one dense float32 stage of whole rows")
    return Lines(math.prod(shape[:-1]) // layout.tiles, shape[-1])


def power_of_two(limit: int) -> int:
    """The largest power of two up to `limit`."""
    return 1 << (limit.bit_length() - 1)


def vector(buffer: Any, start: Any, lanes: int) -> Any:
    """`lanes` neighbouring elements of `buffer`."""
    return buffer[tirx.Ramp(start, i32(1), lanes)]


def shuffled(frame: Frame, vectors: Sequence[Any], lanes: Sequence[int]) -> Any:
    """The named lanes of `vectors` laid end to end, which have as many lanes each as named.

    TVM prints a shuffle as C++; OpenCL C wants a literal.
    """
    if not frame.facts.opencl:
        return tirx.Shuffle(list(vectors), [i32(lane) for lane in lanes])
    width = len(lanes)
    numbers = [tirx.Shuffle([vectors[at // width]], [i32(at % width)]) for at in lanes]
    return tirx.call_extern(f"float32x{width}", f"(float{width})", *numbers)
