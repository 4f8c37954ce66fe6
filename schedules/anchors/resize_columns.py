"""Linear interpolation along the last axis: vectors of a row, shuffled by tables known ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tvm import tirx

from ..blocks.frame import Frame, build_kernel, i32, program_params
from ..blocks.lanes import Lines, lines_of, power_of_two, shuffled, vector
from ..facts import DeviceFacts
from ..program import NotStaged, Program, Stage
from ..rowwise.schedule import rowwise
from ..scheduled import Scheduled

__all__ = ["resize_columns"]

_COLUMNS = "hetcomp.columns"


@dataclass(frozen=True)
class _Piece:
    """Neighbouring output columns from `begin` on, as many as a vector has lanes: where the vectors
    begin that hold their left and right neighbours, and in which lanes."""

    begin: int
    left: int
    left_lanes: tuple[int, ...]
    right: int
    right_lanes: tuple[int, ...]


def resize_columns(program: Program, anchor: Stage) -> Scheduled:
    """Schedule what `hetcomp.passes.linear_resize` makes, on the tiles of a row-wise program.

    Raises
    ------
    NotStaged
        Something is fused, lies in 16 bits or in a slice, or the row has few columns.
    """
    lines = lines_of(program)
    width = int(program.inputs[0].shape[-1])
    first = [int(column) for column in anchor.annotations[_COLUMNS]]
    most = power_of_two(min(width, len(first)))
    if most == 1:
        raise NotStaged("too few columns for vectors of columns")
    params = program_params(program)

    def emit(symbol: str, facts: DeviceFacts) -> tirx.PrimFunc:
        lanes = min(facts.lanes, most)
        pieces = _pieces(first, width, lanes)
        return build_kernel(
            symbol, params, facts, lambda frame: _emit(frame, pieces, lanes, lines, width)
        )

    _pieces(first, width, most)
    return replace(rowwise(program), emit=emit, pitched=frozenset())


def _pieces(first: Sequence[int], width: int, lanes: int) -> list[_Piece]:
    """The row in vectors; the last may overlap its predecessor."""
    last = len(first) - lanes
    starts = [*range(0, last, lanes), last]
    return [_piece(begin, first[begin : begin + lanes], width, lanes) for begin in starts]


def _piece(begin: int, first: Sequence[int], width: int, lanes: int) -> _Piece:
    left = [min(max(column, 0), width - 1) for column in first]
    right = [min(max(column + 1, 0), width - 1) for column in first]
    start = min(left[0], width - lanes)
    second = start if right[-1] - start < lanes else min(right[0], width - lanes)
    left_lanes = tuple(column - start for column in left)
    right_lanes = tuple(column - second for column in right)
    if max(*left_lanes, *right_lanes) >= lanes or min(*left_lanes, *right_lanes) < 0:
        raise NotStaged("neighbours lie further apart than a vector's lanes")
    return _Piece(begin, start, left_lanes, second, right_lanes)


def _emit(frame: Frame, pieces: Sequence[_Piece], lanes: int, lines: Lines, width: int) -> None:
    source, _, weights, output = frame.buffers
    with frame.tiles() as (tile, _channels):
        with frame.loop(lines.each) as index:
            line = frame.bind("line", tile * lines.each + index)
            read = frame.bind("read", line * width)
            write = frame.bind("write", line * lines.columns)
            for piece in pieces:
                low = frame.bind("low", vector(source, read + piece.left, lanes))
                high = low
                if piece.right != piece.left:
                    high = frame.bind("high", vector(source, read + piece.right, lanes))
                weight = frame.bind("weight", vector(weights, i32(piece.begin), lanes))
                low = shuffled(frame, [low], piece.left_lanes)
                high = shuffled(frame, [high], piece.right_lanes)
                one = tirx.Broadcast(tirx.FloatImm("float32", 1.0), lanes)
                value = low * (one - weight) + high * weight
                frame.store(output, tirx.Ramp(write + piece.begin, i32(1), lanes), value)
