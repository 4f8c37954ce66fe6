"""Where the stages of a row-wise program are kept, and how expressions read them.

A stage with one element per row stays in a register; one with a row of elements is in its own
output, else in the final output's row as scratch; what is not kept is computed where it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..blocks.frame import Frame
from ..expression import Translator, flat_index
from ..program import Program, Stage
from .layout import RowLayout

__all__ = ["RowValues"]


class RowValues:
    """Values of the stages of the row that is being computed; the base of what emits rows."""

    def __init__(self, program: Program, layout: RowLayout, frame: Frame) -> None:
        self._program, self._layout = program, layout
        self._buffers = frame.buffers
        self._scalars: list[tuple[Any, Any]] = []

    def _memory(self, stage: Stage) -> Any:
        """Where a stage's row is stored: its own output, else the final output as scratch."""
        return self._buffers[self._stored_in(stage)]

    def _place(self, stage: Stage, at: Sequence[Any]) -> Any:
        """Offset of an element of a stage in its `_memory`."""
        return flat_index(self._program.memory_shape(self._stored_in(stage)), at)

    def _stored_in(self, stage: Stage) -> int:
        own = self._position(stage.buffer)
        return len(self._program.params) - 1 if own is None else own

    def _position(self, buffer: Any) -> int | None:
        params = self._program.params
        return next((i for i, param in enumerate(params) if param.same_as(buffer)), None)

    def _value(self, stage: Stage, at: Sequence[Any], over: Sequence[Any]) -> Any:
        """The value (or term) of `stage` at coordinates `at`, reduction coordinates `over`."""
        pairs = [(axis.var, index) for axis, index in zip(stage.spatial, at, strict=True)]
        pairs += [(axis.var, index) for axis, index in zip(stage.reduce, over, strict=True)]
        return Translator(pairs, self._load)(stage.value)

    def _load(self, buffer: Any, indices: Sequence[Any]) -> Any:
        for kept, cell in self._scalars:
            if kept.same_as(buffer):
                return cell[0]
        stage = self._program.stage_of(buffer)
        if stage is None:
            return self._input(buffer, indices)
        if any(stage is kept for kept in self._layout.kept):
            return self._memory(stage)[self._place(stage, indices)]
        return self._value(stage, indices, [])

    def _input(self, buffer: Any, indices: Sequence[Any]) -> Any:
        position = self._position(buffer)
        if position is None:
            raise AssertionError(f"{buffer.name} is neither a stage nor a parameter")
        return self._buffers[position][flat_index(self._program.memory_shape(position), indices)]
