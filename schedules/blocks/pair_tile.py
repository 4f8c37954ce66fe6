"""Register tile of bytes for ARM cores that multiply no groups of four (A53, A72, A73).

Two products of bytes are added in 16 bits (`smull`, `smlsl`), neighbours of those sums in 32
(`sadalp`): sixteen products in three instructions, where float32 takes four. So that two products
never leave 16 bits, activations become signed in two ways: less 128 in even words, less 127 and
with the other sign in odd ones, whose products are then subtracted. Either product lies in
-16384..16384, and the bounds of both cannot be met at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tvm import tirx

from ..facts import DeviceFacts
from .frame import Frame
from .register_tile import Left, RegisterTile, Right, Steps

__all__ = ["PairTile"]

_LANES = 4
_WORD = 4
"""Bytes of a step."""
_REGISTERS = 16
"""For accumulators: of 32, with room for two words of weights and what becomes of a row."""
_LESS_128, _127_LESS = -0x7F7F7F80, 0x7F7F7F7F
"""Four bytes each: exclusive or with them makes x - 128 and 127 - x of an unsigned x."""


class PairTile(RegisterTile):
    """Accumulators in int32 of products of bytes, two of them for each vector of channels.

    What signed activations add too much depends on the weights alone: a further row, whose
    activations are 0, sums it up and is taken off at the end. In a step of some of the rows the
    others' activations are 0 too, so that nothing of it remains there.
    """

    def __init__(self, frame: Frame, rows: int, width: int) -> None:
        super().__init__(frame, rows, width, "int32")
        self._sums = [
            [[frame.local("sum", _LANES, "int32") for _ in range(2)] for _ in range(self._vectors)]
            for _ in range(rows + 1)
        ]
        zero = tirx.Broadcast(self._zero, _LANES)
        for row in self._sums:
            for halves in row:
                for half in halves:
                    frame.store(half, self.vector(0), zero)

    @staticmethod
    def suits(facts: DeviceFacts, width: int) -> bool:
        """Whether the processor has these instructions and none that does more."""
        return facts.dot == "smull" and not facts.opencl and width % _LANES == 0

    @property
    def wants_all_rows(self) -> bool:
        """As in `RegisterTile`."""
        return True

    def accumulate(self, steps: Steps, left: Left, right: Right, rows: Iterable[int]) -> None:
        """As in `RegisterTile`, as many rows at a time as there are registers."""
        wanted, count = set(rows), len(self._sums)
        passes = -(-count // max(1, _REGISTERS // (2 * self._vectors)))

        def at(row: int, k: Any, run: int) -> Any:
            return left(row, k, run) if row in wanted else _broadcast(_i(0), run)

        for number in range(passes):
            taken = range(count * number // passes, count * (number + 1) // passes)
            super().accumulate(steps, at, right, taken)
            steps = replace(steps, chunk=1, ask=None)  # lines are asked for once

    def multiply_add(
        self, left: Callable[[int], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """As in `RegisterTile`: `left` gives words of activations, `right` words of weights."""
        wanted = set(rows)
        self._multiply_step(
            lambda row: left(row) if row in wanted else _i(0), right, range(len(self._sums))
        )

    def _multiply_step(
        self, left: Callable[[int], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """As in `RegisterTile`."""
        weights = [self._vectors_of(right)]
        for row in rows:
            self._add(row, [left(row) ^ _i(_LESS_128)], weights)

    def _multiply_run(
        self, size: int, left: Callable[[int], Any], right: Right, rows: Iterable[int]
    ) -> None:
        """As in `RegisterTile`."""
        signs = [_i(_127_LESS if t % 2 else _LESS_128) for t in range(size)]
        mask = tirx.Shuffle(signs, [_i(t) for t in range(size)])
        words = {row: self._frame.bind("x", left(row) ^ mask) for row in rows}
        for t in range(0, size, 2):
            weights = [self._vectors_of(right(t)), self._vectors_of(right(t + 1))]
            for row, vector in words.items():
                pair = [tirx.Shuffle([vector], [_i(t + odd)]) for odd in range(2)]
                self._add(row, pair, weights)

    def _vectors_of(self, right: Callable[[Any], Any]) -> list[Any]:
        """The right operand's words of one step in vectors of bytes."""
        offsets = (self.vector(0) + j * _LANES for j in range(self._vectors))
        return [self._frame.bind("w", _as_bytes(right(offset))) for offset in offsets]

    def _add(self, row: int, words: Sequence[Any], weights: Sequence[Sequence[Any]]) -> None:
        """One step of a row, or two, of which the second one's products are subtracted."""
        frame, whole = self._frame, self.vector(0)
        numbers = [frame.bind("x", _as_bytes(_broadcast(word, _LANES))) for word in words]
        for j, halves in enumerate(self._sums[row]):
            for half, total in enumerate(halves):
                terms = [
                    _products(of_step[j], x, half)
                    for of_step, x in zip(weights, numbers, strict=True)
                ]
                pairs = terms[0] - terms[1] if len(terms) > 1 else terms[0]
                frame.store(total, whole, total[whole] + _neighbours(pairs))

    def finish(self, store: Callable[[int, Any, Any], None], valid: int | None = None) -> None:
        """As in `RegisterTile`, in a loop over the rows."""
        frame, whole = self._frame, self.vector(0)
        *rows, surplus = self._sums
        extra = [frame.bind("surplus", self._channels(halves)) for halves in surplus]
        for cells, sums in zip(self._cells, rows, strict=True):
            for cell, halves, much in zip(cells, sums, extra, strict=True):
                frame.store(cell, whole, self._channels(halves) - much)
        self.finish_rows(store, valid)

    def _channels(self, halves: Sequence[Any]) -> Any:
        """Two sums of each channel that lie side by side, added up."""
        low, high = (half[self.vector(0)] for half in halves)
        return tirx.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.addp.v4i32", low, high)


def _products(weights: Any, number: Any, half: int) -> Any:
    """Products in 16 bits of one half of two vectors of bytes."""
    places = [_i(place) for place in range(8 * half, 8 * half + 8)]
    operands = (tirx.Shuffle([vector], places) for vector in (weights, number))
    return tirx.call_llvm_pure_intrin("int16x8", "llvm.aarch64.neon.smull.v8i16", *operands)


def _neighbours(pairs: Any) -> Any:
    """Neighbours of a vector of 16 bits, added in 32."""
    name = "llvm.aarch64.neon.saddlp.v4i32.v8i16"
    return tirx.call_llvm_pure_intrin("int32x4", name, pairs)


def _as_bytes(words: Any) -> Any:
    return tirx.reinterpret("int8x16", words)


def _broadcast(word: Any, lanes: int) -> Any:
    return tirx.Broadcast(word, lanes) if lanes > 1 else word


def _i(value: int) -> Any:
    return tirx.IntImm("int32", value)
