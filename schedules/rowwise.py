"""Everything without a matrix anchor: element-wise chains, pooling, reductions, softmax, norms.

The leading axes that all stages share are the rows; a row is computed whole, stage by stage, in
vectors along the last axis. A stage that more than one later stage reads is kept: in one register
where it has no axis left, else in the row of the output itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from .expression import Translator, flat_index
from .facts import DeviceFacts
from .frame import Frame, Param, build_kernel, cast_for, i32
from .program import Axis, Program, Stage
from .rowwise_layout import RowLayout, row_layout
from .scheduled import Scheduled, TileGrid
from .segments import breakpoints, fold_conditions

__all__ = ["rowwise"]


def rowwise(program: Program) -> Scheduled:
    """Schedule `program` row by row.

    Raises
    ------
    NotStaged
        If its stages cannot be computed one row at a time.
    """
    layout = row_layout(program)
    params = [Param(math.prod(_shape(b)), str(b.dtype)) for b in program.params]

    def emit(symbol: str, facts: DeviceFacts) -> tirx.PrimFunc:
        return build_kernel(
            symbol, params, facts, lambda frame: _Emitter(program, layout, frame).kernel()
        )

    work = sum(math.prod(s.shape) * math.prod(a.extent for a in s.reduce) for s in program.stages)
    return Scheduled(
        kind="rowwise" if any(s.reduce for s in program.stages) else "elementwise",
        emit=emit,
        rows=TileGrid(layout.tiles),
        flops=work,
        axis_reason="rows: no weights to share, each processor touches only its part",
    )


def _shape(buffer: Any) -> tuple[int, ...]:
    return tuple(int(dim) for dim in buffer.shape)


class _Emitter:
    """Emits the statements of one row-wise kernel."""

    def __init__(self, program: Program, layout: RowLayout, frame: Frame) -> None:
        self._program = program
        self._layout = layout
        self._frame = frame
        self._scalars: list[tuple[Any, Any]] = []
        self._coordinates: list[Any] = []
        final = program.stages[-1]
        self._final = final
        self._row_shape = final.shape[: layout.prefix]

    def kernel(self) -> None:
        with self._frame.tiles() as (tile, _):
            if self._layout.group == 1:
                self._row(tile)
                return
            with self._frame.loop(self._layout.group) as inner:
                self._row(tile * self._layout.group + inner)

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
            self._reduce_to_scalar(stage, at, cell)
        else:
            self._frame.store(cell, 0, cast_for(cell, self._value(stage, at, [])))
        self._scalars.append((stage.buffer, cell))
        if self._program.is_output(stage.buffer):
            self._frame.store(self._memory(stage), flat_index(stage.shape, at), cell[0])

    def _reduce_to_scalar(self, stage: Stage, at: list[Any], cell: Any) -> None:
        frame, lanes = self._frame, self._frame.facts.lanes
        *outer, last = stage.reduce
        init = cast_for(cell, Translator([], self._load)(stage.init))
        frame.store(cell, 0, init)
        if last.extent < lanes or stage.combiner == "prod":
            self._nest(outer, [], lambda o: self._scalar_terms(stage, at, cell, o, 0))
            return
        vector = frame.local("v", lanes, str(stage.buffer.dtype))
        self._lanes(lanes, lambda lane: frame.store(vector, lane, init))
        whole = last.extent // lanes

        def body(over: list[Any]) -> None:
            with T.serial(0, whole) as chunk:
                with T.vectorized(0, lanes) as lane:
                    term = self._value(stage, at, [*over, chunk * lanes + lane])
                    frame.store(vector, lane, _combine(stage, vector[lane], term))
            if last.extent % lanes:
                self._scalar_terms(stage, at, cell, over, whole * lanes)

        self._nest(outer, [], body)
        for lane in range(lanes):
            frame.store(cell, 0, _combine(stage, cell[0], vector[lane]))

    def _scalar_terms(
        self, stage: Stage, at: list[Any], cell: Any, over: list[Any], start: int
    ) -> None:
        with T.serial(0, stage.reduce[-1].extent - start) as k:
            term = self._value(stage, at, [*over, k + start])
            self._frame.store(cell, 0, _combine(stage, cell[0], cast_for(cell, term)))

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
        for start, stop in breakpoints(value, var, last.extent):
            piece = fold_conditions(value, var, start, stop)
            self._frame.vector_loop(
                stop - start,
                lambda index, start=start, piece=piece: self._store_at(  # type: ignore[misc]
                    stage, memory, [*at, index + start], var, piece
                ),
            )

    def _store_at(self, stage: Stage, memory: Any, at: list[Any], var: Any, value: Any) -> None:
        bound = Translator([(var, at[-1])], None, free=True)(value)
        self._frame.store(memory, flat_index(stage.shape, at), bound)

    def _reduced_row(self, stage: Stage, at: list[Any], last: Axis) -> None:
        memory, lanes = self._memory(stage), self._frame.facts.lanes
        whole = last.extent // lanes
        if whole:
            with T.serial(0, whole) as chunk:
                self._reduce_vector(stage, memory, [*at, chunk * lanes], lanes)
        if last.extent % lanes:
            with T.serial(0, last.extent % lanes) as tail:
                self._reduce_vector(stage, memory, [*at, tail + whole * lanes], 1)

    def _reduce_vector(self, stage: Stage, memory: Any, at: list[Any], extent: int) -> None:
        frame, dtype = self._frame, str(stage.buffer.dtype)
        cell = frame.local("v", extent, dtype)
        init = cast_for(cell, Translator([], self._load)(stage.init))
        self._lanes(extent, lambda lane: frame.store(cell, lane, init))

        def step(lane: Any, over: list[Any]) -> None:
            term = cast_for(cell, self._value(stage, [*at[:-1], at[-1] + lane], over))
            frame.store(cell, lane, _combine(stage, cell[lane], term))

        def body(over: list[Any]) -> None:
            self._lanes(extent, lambda lane: step(lane, over))

        self._nest(list(stage.reduce), [], body)
        base = flat_index(stage.shape, at)
        self._lanes(extent, lambda lane: frame.store(memory, base + lane, cell[lane]))

    def _lanes(self, extent: int, body: Callable[[Any], None]) -> None:
        if extent == 1:
            body(i32(0))
            return
        with T.vectorized(0, extent) as lane:
            body(lane)

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

    def _memory(self, stage: Stage) -> Any:
        """Where a stage's row is stored: its own output, else the final output as scratch."""
        for buffer, param in zip(self._program.params, self._frame.buffers, strict=True):
            if buffer.same_as(stage.buffer):
                return param
        return self._frame.buffers[-1]

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
            param = self._frame.buffers[self._position(buffer)]
            return param[flat_index(_shape(buffer), indices)]
        if any(stage.buffer.same_as(k.buffer) for k in self._layout.kept):
            return self._memory(stage)[flat_index(stage.shape, indices)]
        return self._value(stage, indices, [])

    def _position(self, buffer: Any) -> int:
        return next(i for i, b in enumerate(self._program.params) if b.same_as(buffer))


def _combine(stage: Stage, old: Any, term: Any) -> Any:
    if stage.combiner == "sum":
        return old + term
    if stage.combiner == "max":
        return tirx.max(old, term)
    if stage.combiner == "min":
        return tirx.min(old, term)
    return old * term
