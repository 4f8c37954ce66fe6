"""The element-wise tail of an anchor: bias, residual, activation, applied in the register tile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tvm import tirx

from ..expression import Translator, flat_index
from ..program import NotStaged, Program, Stage
from .frame import Frame, cast_for

__all__ = ["Epilogue", "anchor_operands", "load_operand", "operand_index"]


class Epilogue:
    """Evaluates the final stage of `program` around an accumulator of `anchor`.

    `shape` is that of the output, `pitch` the distance of its rows in memory, in elements.

    Raises
    ------
    NotStaged
        If the stages after the anchor are more than an element-wise function of it.
    """

    def __init__(self, program: Program, anchor: Stage) -> None:
        self._program = program
        self._anchor = anchor
        self._final = program.stages[-1]
        self.shape = anchor.shape
        self._memory_shape = program.memory_shape(len(program.params) - 1)
        self.pitch = self._memory_shape[-1]
        if len(program.outputs) != 1 or self._final.shape != anchor.shape:
            raise NotStaged("the anchor's output is reshaped within the task")
        if any(s.reduce for s in program.stages if s is not anchor):
            raise NotStaged("a second reduction follows the anchor")
        dtype = str(anchor.buffer.dtype)
        if dtype not in ("float32", "int32"):
            raise NotStaged(f"the anchor computes in {dtype}")
        places = [tirx.Var(f"i{d}", "int32") for d in range(len(self.shape))]
        self._evaluate(self._final, places, None, lambda *_: tirx.const(0, dtype))

    def store(self, frame: Frame, at: Sequence[Any], flat: Any, accumulator: Any) -> None:
        """Store the result of one element.

        Parameters
        ----------
        at
            Output coordinates.
        flat
            The same as an offset into the output's memory, see `pitch`.
        accumulator
            The anchor's value there.
        """
        output = frame.buffers[-1]
        value = self._evaluate(self._final, at, flat, lambda *_: accumulator, frame)
        frame.store(output, flat, cast_for(output, value))

    def streams(self, frame: Frame) -> list[tuple[Any, int]]:
        """Buffers of which a tile touches its own elements only, the output and residuals, with
        the distance of their rows."""
        params = zip(frame.buffers, self._program.params, strict=True)
        return [
            (buffer, self._program.memory_shape(position)[-1])
            for position, (buffer, param) in enumerate(params)
            if math.prod(int(dim) for dim in param.shape) == math.prod(self.shape)
        ]

    def _evaluate(
        self, stage: Stage, at: Sequence[Any], flat: Any, anchor: Any, frame: Frame | None = None
    ) -> Any:
        if stage is self._anchor:
            return anchor()

        def load(buffer: Any, indices: Sequence[Any]) -> Any:
            source = self._program.stage_of(buffer)
            if source is not None:
                if source is self._anchor and not self._own(indices, at):
                    raise NotStaged("the epilogue reads other elements of the anchor")
                same_place = len(indices) == len(at) and self._own(indices, at)
                return self._evaluate(source, indices, flat if same_place else None, anchor, frame)
            if frame is None:
                return tirx.const(0, str(buffer.dtype))
            position = _position(self._program, buffer)
            shape = self._program.memory_shape(position)
            if flat is not None and shape == self._memory_shape and self._own(indices, at):
                return frame.buffers[position][flat]
            return frame.buffers[position][flat_index(shape, indices)]

        pairs = [(axis.var, index) for axis, index in zip(stage.spatial, at, strict=True)]
        return Translator(pairs, load)(stage.value)

    def _own(self, indices: Sequence[Any], at: Sequence[Any]) -> bool:
        return all(
            extent == 1 or index.same_as(place)
            for extent, index, place in zip(self.shape, indices, at, strict=True)
        )


def anchor_operands(
    program: Program, anchor: Stage, dtypes: Sequence[str] = ("float32", "float32")
) -> list[int]:
    """Positions among the parameters of the buffers the anchor multiplies, in order.

    Raises
    ------
    NotStaged
        If an operand is computed within the task or is not of its type in `dtypes`.
    """
    found: list[int] = []

    def load(buffer: Any, indices: Sequence[Any]) -> Any:
        if program.stage_of(buffer) is not None:
            raise NotStaged("an operand of the anchor is computed within the task")
        if str(buffer.dtype) not in dtypes:
            raise NotStaged(f"an operand of the anchor is {buffer.dtype}, not {dtypes[0]}")
        position = _position(program, buffer)
        if position not in found:
            found.append(position)
        return tirx.const(0, str(buffer.dtype))

    Translator([], load, free=True)(anchor.value)
    if len(found) != 2:
        raise NotStaged(f"the anchor reads {len(found)} operands, not two")
    return found


def operand_index(
    program: Program, anchor: Stage, position: int, at: Sequence[Any], over: Any
) -> Any:
    """Where the anchor's own expression reads parameter `position`, broadcast or transposed too.

    Parameters
    ----------
    at, over
        Output coordinates, and the place on the anchor's one reduction axis.
    """
    found: list[Any] = []

    def load(buffer: Any, indices: Sequence[Any]) -> Any:
        if buffer.same_as(program.params[position]):
            shape = [int(dim) for dim in buffer.shape]
            found.append(flat_index(shape, indices))
        return tirx.const(0, str(buffer.dtype))

    axes = [*anchor.spatial, *anchor.reduce]
    pairs = [(axis.var, value) for axis, value in zip(axes, [*at, over], strict=True)]
    Translator(pairs, load)(anchor.value)
    return found[0]


def load_operand(
    program: Program, anchor: Stage, frame: Frame, position: int, at: Sequence[Any], over: Any
) -> Any:
    """What the anchor's own expression reads of parameter `position`, see `operand_index`."""
    return frame.buffers[position][operand_index(program, anchor, position, at, over)]


def _position(program: Program, buffer: Any) -> int:
    return next(i for i, b in enumerate(program.params) if b.same_as(buffer))
