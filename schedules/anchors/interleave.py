"""Channels of several tensors in turn: a channel shuffle, as shuffles of vectors."""

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

__all__ = ["interleave"]

_FIRST = "hetcomp.interleave"


@dataclass(frozen=True)
class _Piece:
    """Output channels from `begin` on, as many as a vector has lanes: where each input's vector
    begins, and the lanes of all of them, end to end."""

    begin: int
    starts: tuple[int, ...]
    lanes: tuple[int, ...]


def interleave(program: Program, anchor: Stage) -> Scheduled:
    """Schedule what `hetcomp.passes.channel_shuffle` makes, on the tiles of a row-wise program.

    Raises
    ------
    NotStaged
        Something is fused, lies in 16 bits or in a slice, or there are few channels.
    """
    lines = lines_of(program)
    width, parts = int(program.inputs[0].shape[-1]), len(program.inputs)
    first = int(anchor.annotations[_FIRST])
    most = power_of_two(min(width, lines.columns))
    if most < parts:
        raise NotStaged("fewer channels than parts")
    params = program_params(program)

    def emit(symbol: str, facts: DeviceFacts) -> tirx.PrimFunc:
        lanes = min(facts.lanes, most)
        pieces = _pieces(lines.columns, first, parts, width, lanes)
        return build_kernel(
            symbol, params, facts, lambda frame: _emit(frame, pieces, lanes, lines, width)
        )

    return replace(rowwise(program), emit=emit, pitched=frozenset())


def _pieces(columns: int, first: int, parts: int, width: int, lanes: int) -> list[_Piece]:
    """The channels in vectors; the last may overlap its predecessor."""
    last = columns - lanes
    begins = [*range(0, last, lanes), last]
    return [_piece(begin, first + begin, parts, width, lanes) for begin in begins]


def _piece(begin: int, channel: int, parts: int, width: int, lanes: int) -> _Piece:
    sources = [((channel + lane) % parts, (channel + lane) // parts) for lane in range(lanes)]
    lowest = [min((at for part, at in sources if part == own), default=0) for own in range(parts)]
    starts = tuple(min(low, width - lanes) for low in lowest)
    picked = tuple(part * lanes + at - starts[part] for part, at in sources)
    return _Piece(begin, starts, picked)


def _emit(frame: Frame, pieces: Sequence[_Piece], lanes: int, lines: Lines, width: int) -> None:
    *sources, output = frame.buffers
    with frame.tiles() as (tile, _channels):
        with frame.loop(lines.each) as index:
            line = frame.bind("line", tile * lines.each + index)
            read = frame.bind("read", line * width)
            write = frame.bind("write", line * lines.columns)
            for piece in pieces:
                vectors = [
                    frame.bind("part", vector(source, read + start, lanes))
                    for source, start in zip(sources, piece.starts, strict=True)
                ]
                value = shuffled(frame, vectors, piece.lanes)
                frame.store(output, tirx.Ramp(write + piece.begin, i32(1), lanes), value)
