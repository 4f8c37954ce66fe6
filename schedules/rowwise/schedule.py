"""Everything without a matrix anchor: element-wise chains, pooling, reductions, softmax, norms.

The leading axes that all stages share are the rows; a row is computed whole, stage by stage, in
vectors along the last axis. A stage that more than one later stage reads is kept: in one register
where it has no axis left, else in the row of the output itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tvm import tirx

from hetcomp.cost.kernel_facts import KernelFacts

from ..blocks.frame import Frame, build_kernel, cast_for, i32, program_params
from ..expression import Translator
from ..facts import DeviceFacts
from ..program import Axis, Program, Stage
from ..scheduled import Scheduled, TileGrid
from ..segments import breakpoints, fold_conditions
from .layout import RowLayout, in_place_inputs, row_layout
from .reduce import reduce_to_row, reduce_to_scalar
from .values import RowValues

__all__ = ["rowwise"]


def rowwise(program: Program) -> Scheduled:
    """Schedule `program` row by row.

    Raises
    ------
    NotStaged
        If its stages cannot be computed one row at a time.
    """
    layout = row_layout(program)
    params = program_params(program)
    shareable = in_place_inputs(program, layout)

    def emit(symbol: str, facts: DeviceFacts) -> tirx.PrimFunc:
        return build_kernel(
            symbol,
            params,
            facts,
            lambda frame: _Emitter(program, layout, frame).kernel(),
            no_alias=not shareable,
        )

    work = sum(math.prod(s.shape) * math.prod(a.extent for a in s.reduce) for s in program.stages)
    return Scheduled(
        kind="rowwise" if any(s.reduce for s in program.stages) else "elementwise",
        emit=emit,
        rows=TileGrid(layout.tiles),
        flops=work,
        axis_reason="rows: no weights to share, each processor touches only its part",
        pitched=frozenset(range(len(params))),
        in_place=shareable,
        facts=KernelFacts(
            pixels=layout.rows,
            columns=math.prod(program.stages[-1].shape[layout.prefix :]),
            row_pixels=layout.group,
        ),
    )


class _Emitter(RowValues):
    """Emits the statements of one row-wise kernel."""

    def __init__(self, program: Program, layout: RowLayout, frame: Frame) -> None:
        super().__init__(program, layout, frame)
        self._frame = frame
        self._coordinates: list[Any] = []
        self._first: Any = i32(0)
        self._row_shape = program.stages[-1].shape[: layout.prefix]

    def kernel(self) -> None:
        with self._frame.tiles() as (tile, _):
            if self._layout.blocks > 1:
                self._block(tile)
                return
            if self._layout.group == 1:
                self._row(tile)
                return
            with self._frame.loop(self._layout.group) as inner:
                self._row(tile * self._layout.group + inner)

    def _block(self, tile: Any) -> None:
        """Some columns of a row."""
        block = self._frame.bind("block", tirx.floordiv(tile, i32(self._layout.rows)))
        self._first = self._frame.bind("first", block * self._layout.width)
        self._row(tile - block * self._layout.rows)

    def _row(self, row: Any) -> None:
        self._coordinates = self._unravel(row)
        self._scalars = []
        for stage in self._layout.kept:
            rest = stage.shape[self._layout.prefix :]
            if math.prod(rest) == 1:
                self._scalar_stage(stage)
            else:
                self._vector_stage(stage)

    def _unravel(self, row: Any) -> list[Any]:
        coordinates: list[Any] = []
        stride = math.prod(self._row_shape)
        rest = row
        for extent in self._row_shape:
            stride //= extent
            if extent == 1:
                coordinates.append(i32(0))
            elif stride == 1:
                coordinates.append(rest)
            else:
                index = self._frame.bind("i", tirx.floordiv(rest, i32(stride)))
                coordinates.append(index)
                rest = self._frame.bind("rest", rest - index * stride)
        return coordinates

    def _scalar_stage(self, stage: Stage) -> None:
        """A stage with one element per row: kept in a register, stored if it is an output."""
        at = [*self._coordinates, *[i32(0)] * (len(stage.shape) - len(self._coordinates))]
        cell = self._frame.local("s", 1, str(stage.buffer.dtype))
        if stage.reduce:
            reduce_to_scalar(self._frame, stage, partial(self._value, stage), at, cell)
        else:
            self._frame.store(cell, 0, cast_for(cell, self._value(stage, at, [])))
        self._scalars.append((stage.buffer, cell))
        if self._program.is_output(stage.buffer):
            self._frame.store(self._memory(stage), self._place(stage, at), cell[0])

    def _vector_stage(self, stage: Stage) -> None:
        """A stage with a row of elements: written to its own output, or to the final output's
        row as scratch."""
        *outer, last = stage.spatial[self._layout.prefix :]
        body = self._reduced_row if stage.reduce else self._plain_row
        self._nest(outer, [], lambda over: body(stage, [*self._coordinates, *over], last))

    def _plain_row(self, stage: Stage, at: list[Any], last: Axis) -> None:
        memory = self._memory(stage)
        var = tirx.Var("z", "int32")
        value = cast_for(memory, self._value(stage, [*at, var], []))
        for start, stop in self._segments(value, var, last):
            piece = fold_conditions(value, var, start, stop)
            self._frame.vector_loop(
                stop - start,
                lambda index, start=start, piece=piece: self._store_at(  # type: ignore[misc]
                    stage, memory, [*at, self._first + index + start], var, piece
                ),
            )

    def _segments(self, value: Any, var: Any, last: Axis) -> list[tuple[int, int]]:
        """Parts of the row, or of a block's columns, in which no condition changes."""
        if self._layout.blocks > 1:
            return [(0, self._layout.width)]
        return breakpoints(value, var, last.extent)

    def _store_at(self, stage: Stage, memory: Any, at: list[Any], var: Any, value: Any) -> None:
        bound = Translator([(var, at[-1])], None, free=True)(value)
        self._frame.store(memory, self._place(stage, at), bound)

    def _reduced_row(self, stage: Stage, at: list[Any], last: Axis) -> None:
        memory = self._memory(stage)
        base = self._place(stage, [*at, self._first])
        reduce_to_row(
            self._frame,
            stage,
            partial(self._value, stage),
            [*at, self._first],
            self._layout.width if self._layout.blocks > 1 else last.extent,
            lambda offset, value: self._frame.store(memory, base + offset, value),
        )

    def _nest(
        self, axes: Sequence[Axis], over: list[Any], body: Callable[[list[Any]], None]
    ) -> None:
        if not axes:
            body(over)
            return
        if axes[0].extent == 1:
            self._nest(axes[1:], [*over, i32(0)], body)
            return
        with self._frame.loop(axes[0].extent) as index:
            self._nest(axes[1:], [*over, index], body)
