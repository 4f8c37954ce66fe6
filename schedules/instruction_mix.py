"""What a kernel executes, counted on its code: the loops that a schedule has really written.

How often a statement runs follows from the loops round it, whose bounds are evaluated at their
first, middle and last iteration where others depend on them. Index arithmetic is left out:
compilers hoist most of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tvm_ffi
from tvm import tirx

from hetcomp.cost.instruction_mix import InstructionMix

from .control import Point, value_at
from .expression import dtype_of
from .instructions import COUNTS, Instructions, Lane, item_bytes

__all__ = ["count_instructions"]

_REGISTER_TILE = 1024
"""Bytes up to which a local buffer stays in registers, or in a line of the stack."""
_ALL_SAMPLED = 4

_Run = Callable[[Point, float], None]


def count_instructions(
    func: tirx.PrimFunc, rows: int, channels: int, register_bytes: int
) -> InstructionMix:
    """Count what `func` executes over a grid of `rows` by `channels` tiles.

    Its last four parameters are the range of tiles, as in every kernel; `register_bytes` is the
    size of a vector register.
    """
    counter = _Counter(func.body, register_bytes)
    ends = dict(zip(func.params[-4:], (0, rows, 0, channels), strict=True))
    return counter.run(ends)


class _Counter:
    """Turns a body into functions that book, at a point, how often each statement runs."""

    def __init__(self, body: Any, register_bytes: int) -> None:
        self._steering = _steering(body)
        self._instructions = Instructions(register_bytes)
        self._counts: list[Any] = []
        self._times: list[float] = []
        self._iterations = 0.0
        self._body = self._statement(body, Lane())

    def run(self, point: Point) -> InstructionMix:
        """Execute once at `point`."""
        self._body(point, 1.0)
        total = np.zeros(len(COUNTS))
        for times, counts in zip(self._times, self._counts, strict=True):
            total += times * counts
        found = dict(zip(COUNTS, map(float, total), strict=True))
        return InstructionMix(**found, iterations=self._iterations)

    def _statement(self, node: Any, lane: Lane) -> _Run:
        kind = type(node)
        if kind is tirx.SeqStmt:
            return _in_sequence([self._statement(item, lane) for item in node.seq])
        if kind is tirx.For:
            return self._loop(node, lane)
        if kind is tirx.IfThenElse:
            return self._branch(node, lane)
        if kind is tirx.AttrStmt:
            return self._statement(node.body, lane)
        if kind is tirx.AllocBuffer:
            self._note_tile(node.buffer)
        if kind is tirx.Bind:
            return self._bind(node, lane)
        if kind is tirx.BufferStore:
            return self._store(node, lane)
        if kind is tirx.Evaluate:
            return self._executes(self._instructions.of_value(node.value, lane))
        return _nothing

    def _loop(self, node: tirx.For, lane: Lane) -> _Run:
        if node.kind == tirx.ForKind.VECTORIZED:
            return self._statement(node.body, Lane(node.loop_var, int(node.extent.value)))
        begin, extent = value_at(node.min), value_at(node.extent)
        body = self._statement(node.body, lane)
        counted = node.kind != tirx.ForKind.UNROLLED
        steers, var = node.loop_var in self._steering, node.loop_var

        def run(point: Point, weight: float) -> None:
            first, n = begin(point) or 0, extent(point)
            n = 1 if n is None else n
            self._iterations += weight * max(0, n) * counted
            for place, times in _sampled(n, steers):
                point[var] = first + place
                body(point, weight * times)

        return run

    def _branch(self, node: tirx.IfThenElse, lane: Lane) -> _Run:
        condition = value_at(node.condition)
        then = self._statement(node.then_case, lane)
        other = _nothing if node.else_case is None else self._statement(node.else_case, lane)

        def run(point: Point, weight: float) -> None:
            taken = condition(point)
            part = 0.5 if taken is None else float(bool(taken))
            if part:
                then(point, weight * part)
            if part < 1.0:
                other(point, weight * (1.0 - part))

        return run

    def _bind(self, node: tirx.Bind, lane: Lane) -> _Run:
        if not dtype_of(node.var).startswith("int32"):
            return self._executes(self._instructions.of_value(node.value, lane))
        self._instructions.define(node.var, node.value)
        return _keeps(node.var, node.value)

    def _note_tile(self, buffer: Any) -> None:
        if (
            int(np.prod([int(n) for n in buffer.shape])) * item_bytes(buffer.dtype)
            <= _REGISTER_TILE
        ):
            self._instructions.tiles.add(buffer)

    def _store(self, node: tirx.BufferStore, lane: Lane) -> _Run:
        if self._is_integer(node):
            self._instructions.define(node.buffer, node.value)
            return _keeps(node.buffer, node.value)
        return self._executes(self._instructions.of_store(node, lane))

    def _is_integer(self, node: tirx.BufferStore) -> bool:
        """Whether it sets a buffer of one integer: a variable of the kernel's loops."""
        shape = [int(n) for n in node.buffer.shape]
        return (
            shape == [1]
            and dtype_of(node.value) == "int32"
            and node.buffer in self._instructions.tiles
        )

    def _executes(self, counts: Any) -> _Run:
        if not counts.any():
            return _nothing
        place = len(self._times)
        self._counts.append(counts)
        self._times.append(0.0)

        def run(_point: Point, weight: float) -> None:
            self._times[place] += weight

        return run


def _nothing(_point: Point, _weight: float) -> None:
    return None


def _keeps(target: Any, expr: Any) -> _Run:
    value = value_at(expr)

    def run(point: Point, _weight: float) -> None:
        point[target] = value(point)

    return run


def _in_sequence(runs: list[_Run]) -> _Run:
    wanted = [run for run in runs if run is not _nothing]

    def run_all(point: Point, weight: float) -> None:
        for run in wanted:
            run(point, weight)

    return run_all if wanted else _nothing


def _sampled(n: int, steers: bool) -> Iterator[tuple[int, int]]:
    """Iterations that stand for all, and how many each stands for."""
    if n <= 0:
        return
    if not steers:
        yield n // 2, n
    elif n <= _ALL_SAMPLED:
        yield from ((place, 1) for place in range(n))
    else:
        yield from ((0, 1), (n // 2, n - 2), (n - 1, 1))


def _steering(body: Any) -> set[Any]:
    """Variables that bounds of loops and conditions depend on."""
    controls: list[Any] = []
    defined: list[tuple[Any, Any]] = []
    tvm_ffi.structural_walk(body, (tirx.For, lambda n: controls.extend((n.min, n.extent))))
    tvm_ffi.structural_walk(body, (tirx.IfThenElse, lambda n: controls.append(n.condition)))
    tvm_ffi.structural_walk(body, (tirx.Bind, lambda n: defined.append((n.var, n.value))))
    found = {var for control in controls for var in _variables(control)}
    before = 0
    while len(found) > before:
        before = len(found)
        for target, value in defined:
            if target in found:
                found |= _variables(value)
    return found


def _variables(expr: Any) -> set[Any]:
    found: set[Any] = set()
    tvm_ffi.structural_walk(expr, (tirx.Var, found.add))
    return found
