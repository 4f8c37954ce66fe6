"""Register tile of bytes for ARM cores with i8mm: `usmmla` multiplies 2x8 bytes by 8x2.

Thirty-two products in one instruction, where `usdot` has sixteen. An accumulator is of two rows and
two channels. Both operands are zipped from what `usdot` takes as it is, eight bytes of two rows,
and two words of two channels, so that packed weights serve all kinds of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tvm import tirx

from ..facts import DeviceFacts
from .frame import Frame
from .register_tile import RegisterTile, Right

__all__ = ["MatrixTile"]

_LANES = 4
_PAIR = 2
"""Rows, and channels, of an accumulator."""
_USMMLA = "llvm.aarch64.neon.usmmla.v4i32.v16i8"


class MatrixTile(RegisterTile):
    """Accumulators in int32 of products of bytes, each of two rows and two channels.

    In a step of some of the rows the others' activations are 0.
    """

    def __init__(self, frame: Frame, rows: int, width: int, dtype: str = "int32") -> None:
        super().__init__(frame, rows, width, dtype)
        self._blocks = [
            [frame.local("block", _LANES, dtype) for _ in range(width // _PAIR)]
            for _ in range(0, rows, _PAIR)
        ]
        zero = tirx.Broadcast(self._zero, _LANES)
        for blocks in self._blocks:
            for block in blocks:
                frame.store(block, self.vector(0), zero)

    @staticmethod
    def suits(facts: DeviceFacts, rows: int, width: int) -> bool:
        """Whether the processor has the instruction, and there are two rows for it."""
        return facts.dot == "usdot" and not facts.opencl and rows > 1 and width % _LANES == 0

    @property
    def wants_all_rows(self) -> bool:
        """As in `RegisterTile`."""
        return True

    def multiply_add(
        self, left: Callable[[int], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """As in `RegisterTile`: `left` gives words of activations, `right` words of weights."""
        nothing = tirx.Broadcast(_i(0), _LANES)
        words = {row: left(row) for row in rows}
        columns = [_zipped(vector, nothing) for vector in self._vectors_of(right)]
        for pair, blocks in self._pairs_of(words):
            bytes_of = [tirx.Broadcast(words.get(row, _i(0)), _LANES) for row in pair]
            both = tirx.Shuffle([bytes_of[0], nothing, bytes_of[1]], _places(0, 4, 8, 5))
            self._add(blocks, both, columns)

    def _multiply_run(
        self, size: int, left: Callable[[int], Any], right: Right, rows: Iterable[int]
    ) -> None:
        """As in `RegisterTile`."""
        frame, nothing = self._frame, tirx.Broadcast(_i(0), size)
        words = {row: frame.bind("x", left(row)) for row in rows}
        for t in range(0, size, _PAIR):
            neighbours = zip(
                self._vectors_of(right(t)), self._vectors_of(right(t + 1)), strict=True
            )
            columns = [self._bound(_zipped(even, odd)) for even, odd in neighbours]
            places = _places(t, t + 1, size + t, size + t + 1)
            for pair, blocks in self._pairs_of(words):
                both = [words.get(row, nothing) for row in pair]
                self._add(blocks, tirx.Shuffle(both, places), columns)

    def _pairs_of(self, rows: Iterable[int]) -> list[tuple[tuple[int, int], list[Any]]]:
        """Pairs of rows some of which are among `rows`, with their accumulators."""
        wanted = set(rows)
        pairs = [((_PAIR * p, _PAIR * p + 1), blocks) for p, blocks in enumerate(self._blocks)]
        return [(pair, blocks) for pair, blocks in pairs if wanted & set(pair)]

    def _vectors_of(self, right: Callable[[Any], Any]) -> list[Any]:
        """The right operand's words of one step, which lie side by side, in vectors."""
        offsets = (self.vector(0) + j * _LANES for j in range(self._vectors))
        return [self._frame.bind("w", right(offset)) for offset in offsets]

    def _bound(self, vectors: Sequence[Any]) -> list[Any]:
        return [self._frame.bind("w", vector) for vector in vectors]

    def _add(self, blocks: Sequence[Any], both: Any, columns: Sequence[Sequence[Any]]) -> None:
        """The products of two rows with all columns."""
        frame, whole = self._frame, self.vector(0)
        left = frame.bind("x", both)
        of_two = [column for vector in columns for column in vector]
        for block, column in zip(blocks, of_two, strict=True):
            frame.store(block, whole, self._product(block[whole], left, column))

    def _product(self, total: Any, left: Any, right: Any) -> Any:
        """`total` plus the products of two rows and two columns of eight bytes."""
        operands = (tirx.reinterpret("int8x16", words) for words in (left, right))
        return tirx.call_llvm_pure_intrin("int32x4", _USMMLA, total, *operands)

    def finish(self, store: Callable[[int, Any, Any], None], valid: int | None = None) -> None:
        """As in `RegisterTile`, in a loop over the rows."""
        frame, whole = self._frame, self.vector(0)
        for row, cells in enumerate(self._cells):
            blocks, first = self._blocks[row // _PAIR], _PAIR * (row % _PAIR)
            for j, cell in enumerate(cells):
                two = [block[whole] for block in blocks[_PAIR * j : _PAIR * j + _PAIR]]
                places = _places(first, first + 1, _LANES + first, _LANES + first + 1)
                frame.store(cell, whole, tirx.Shuffle(two, places))
        self.finish_rows(store, valid)


def _zipped(even: Any, odd: Any) -> list[Any]:
    """Two words of each of four channels as vectors of two channels."""
    return [tirx.Shuffle([even, odd], _places(c, 4 + c, 1 + c, 5 + c)) for c in (0, 2)]


def _places(*numbers: int) -> list[Any]:
    return [_i(number) for number in numbers]


def _i(value: int) -> Any:
    return tirx.IntImm("int32", value)
