"""What the matrix-like templates multiply: float32 numbers one by one, or bytes four by four.

The templates count the multiplied axis in steps. A step of float32 is one element; a step of
bytes is one word of four of them, whose weights lie side by side: `[k / 4][n][4]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tvm import tirx

from ..facts import DeviceFacts
from ..half import HalfBuffer
from ..int8.dot import dot, has_surplus, signed, signed_dot, surplus, word_at
from .bf16_tile import LEAST_DEPTH, Bf16Tile
from .frame import Frame
from .half_tile import LEAST_CHAIN, ChainTile, StagedTile
from .matrix_tile import MatrixTile
from .pair_tile import PairTile
from .register_tile import RegisterTile, Right, load_run

__all__ = ["BYTES", "FLOAT32", "Arithmetic", "ByteTile", "Operands"]


class ByteTile(RegisterTile):
    """Accumulators in int32 of products of bytes.

    Where products are of signed bytes, what steps of all rows add too much is the same for each:
    it is added up once for a vector of weights, and taken off at the end. Steps of some of the rows
    (taps beside the map) take it off at once.
    """

    def __init__(self, frame: Frame, rows: int, width: int) -> None:
        super().__init__(frame, rows, width, "int32")
        self._surplus: list[Any] = []
        if not has_surplus(frame.facts, self._lanes):
            return
        zero = tirx.Broadcast(self._zero, self._lanes)
        for _ in range(self._vectors):
            self._surplus.append(frame.local("surplus", self._lanes, "int32"))
            frame.store(self._surplus[-1], self.vector(0), zero)

    @property
    def wants_all_rows(self) -> bool:
        """As in `RegisterTile`."""
        return bool(self._surplus)

    def multiply_add(
        self, left: Callable[[int], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """As in `RegisterTile`: `left` gives words of activations, `right` words of weights."""
        frame, taken, weights = self._frame, list(rows), self._vectors_of(right)
        shared = self._shares_surplus(taken)
        for i in taken:
            word = left(i)
            self._add_products(
                i, frame.bind("x", signed(word) if shared else word), weights, shared
            )
        if shared:
            self._add_surplus(weights)

    def _multiply_run(
        self, size: int, left: Callable[[int], Any], right: Right, rows: Iterable[int]
    ) -> None:
        """As in `RegisterTile`."""
        frame, taken = self._frame, list(rows)
        shared = self._shares_surplus(taken)
        words = [
            frame.bind("x", signed(found, size) if shared else found) for found in map(left, taken)
        ]
        for t in range(size):
            weights = self._vectors_of(right(t))
            for i, vector in zip(taken, words, strict=True):
                word = tirx.Shuffle([vector], [tirx.IntImm("int32", t)])
                self._add_products(i, word, weights, shared)
            if shared:
                self._add_surplus(weights)

    def _shares_surplus(self, rows: Sequence[int]) -> bool:
        """Whether a step of `rows` leaves to the end what signed products add too much."""
        return bool(self._surplus) and len(rows) == len(self._cells)

    def _vectors_of(self, right: Callable[[Any], Any]) -> list[Any]:
        """The right operand's words of one step, which lie side by side, in vectors."""
        offsets = (self.vector(0) + j * self._lanes for j in range(self._vectors))
        return [self._frame.bind("w", right(offset)) for offset in offsets]

    def _add_products(self, row: int, word: Any, weights: Sequence[Any], shared: bool) -> None:
        """One step of a row; if `shared`, `word` is of signed bytes and the rest comes later."""
        frame, lanes, whole = self._frame, self._lanes, self.vector(0)
        for cell, weight in zip(self._cells[row], weights, strict=True):
            if shared:
                total = signed_dot(cell[whole], word, weight, lanes)
            else:
                total = dot(frame.facts, cell[whole], word, weight, lanes)
            frame.store(cell, whole, total)

    def _add_surplus(self, weights: Sequence[Any]) -> None:
        """What signed products of one step add too much, the same for all rows."""
        whole = self.vector(0)
        for cell, weight in zip(self._surplus, weights, strict=True):
            self._frame.store(cell, whole, surplus(cell[whole], weight, self._lanes))

    def finish(self, store: Callable[[int, Any, Any], None], valid: int | None = None) -> None:
        """As in `RegisterTile`, in a loop over the rows."""
        whole = self.vector(0)
        for row in self._cells if self._surplus else ():
            for cell, extra in zip(row, self._surplus, strict=True):
                self._frame.store(cell, whole, cell[whole] - extra[whole])
        self.finish_rows(store, valid)


@dataclass(frozen=True)
class Arithmetic:
    """One kind of numbers that a template multiplies.

    Attributes
    ----------
    name
        In front of the name of a work-group's kernel.
    group
        Elements of the multiplied axis per step.
    operands
        Element types of activations and weights.
    packed
        Element type of packed weights: one element a step and channel.
    tile
        Class of the accumulators.
    """

    name: str
    group: int
    operands: tuple[str, str]
    packed: str
    tile: Callable[[Frame, int, int], RegisterTile]

    def steps(self, extent: int) -> int:
        """Steps along an axis of `extent` elements, which they divide."""
        assert extent % self.group == 0, "the multiplied axis is not filled up to whole steps"
        return extent // self.group

    def left(self, facts: DeviceFacts, buffer: Any, step: Any, run: int = 1) -> Any:
        """The activations of `run` steps from `step` on, counted from the start of `buffer`."""
        if self.group == 1:
            return load_run(buffer, step, run)
        return word_at(facts, buffer, step * self.group, run)

    def constant(self, value: int, run: int = 1) -> Any:
        """`run` steps of activations that all are `value`."""
        if self.group == 1:
            step: Any = tirx.FloatImm("float32", float(value))
        else:
            word = int.from_bytes([value] * self.group, "little", signed=True)
            step = tirx.IntImm("int32", word)
        return tirx.Broadcast(step, run) if run > 1 else step

    def grouped(self, matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Weights `[k, n]` as `[steps, n]` of the packed type."""
        if self.group == 1:
            return matrix
        k, n = matrix.shape
        bytes_last = matrix.reshape(k // self.group, self.group, n).transpose(0, 2, 1)
        words: np.ndarray[Any, Any] = np.ascontiguousarray(bytes_last).view(self.packed)
        return words.reshape(k // self.group, n)

    def on(self, frame: Frame, depth: int, left: Any, right: Any) -> Operands:
        """The arithmetic that multiplies two buffers on the device of `frame`, `depth` steps at a
        time, with the buffers as its tile wants them."""
        if self is not FLOAT32 or not isinstance(left, HalfBuffer):
            return Operands(self, left, right)
        paired = frame.facts.bf16_products and depth >= LEAST_DEPTH
        if paired and left.is_bf16 and isinstance(right, HalfBuffer) and right.is_bf16:
            return Operands(PAIRED, left.memory, right.memory)
        chained = frame.facts.f16_products and depth >= LEAST_CHAIN
        if chained and left.is_f16 and isinstance(right, HalfBuffer) and right.is_f16:
            return Operands(CHAINED, left.numbers, right.numbers)
        return Operands(STAGED, left, right)


@dataclass(frozen=True)
class Operands:
    """What a template multiplies: the arithmetic, activations, weights."""

    arithmetic: Arithmetic
    left: Any
    right: Any


def _byte_tile(frame: Frame, rows: int, width: int) -> RegisterTile:
    """The tile for the instructions that the processor has."""
    if MatrixTile.suits(frame.facts, rows, width):
        return MatrixTile(frame, rows, width)
    if PairTile.suits(frame.facts, width):
        return PairTile(frame, rows, width)
    return ByteTile(frame, rows, width)


FLOAT32 = Arithmetic("", 1, ("float32", "float32"), "float32", RegisterTile)
STAGED = replace(FLOAT32, tile=StagedTile)
CHAINED = replace(FLOAT32, tile=ChainTile)
PAIRED = replace(FLOAT32, tile=Bf16Tile)
BYTES = Arithmetic("int8 ", 4, ("uint8", "int8"), "int32", _byte_tile)
