"""Register tile of bfloat16 for ARM cores with `bfmmla`, which multiplies 2x4 numbers by 4x2.

Sixteen products in one instruction, where float32 has four. Neither operand is converted: products
of bfloat16 are exact in float32, in which they are added; numbers too small for a normal float
count as 0, as ARM documents the instruction. A word of bytes holds four, here it holds two numbers:
those of weights are zipped from two steps, whose packed order is that of all kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from .frame import Frame
from .matrix_tile import MatrixTile
from .register_tile import Left, Right, Steps

__all__ = ["LEAST_DEPTH", "Bf16Tile"]

LEAST_DEPTH = 8
"""Steps that one load takes: below, there is nothing to gain."""
_LANES = 4
_ZIP = [0, 4, 1, 5, 2, 6, 3, 7]
_BFMMLA = """
declare <4 x float> @llvm.aarch64.neon.bfmmla(<4 x float>, <8 x bfloat>, <8 x bfloat>)
define <4 x float> @hetcomp_bfmmla(<4 x float> %total, <4 x i32> %left, <4 x i32> %right) {
  %l = bitcast <4 x i32> %left to <8 x bfloat>
  %r = bitcast <4 x i32> %right to <8 x bfloat>
  %sum = call <4 x float> @llvm.aarch64.neon.bfmmla(
    <4 x float> %total, <8 x bfloat> %l, <8 x bfloat> %r)
  ret <4 x float> %sum
}
"""
"""TVM takes bfloat16 for integers, so that it cannot call the instruction; LLVM inlines this."""


class Bf16Tile(MatrixTile):
    """Float32 accumulators of two rows and two channels; operands are loads of bfloat16's bits."""

    def __init__(self, frame: Frame, rows: int, width: int) -> None:
        super().__init__(frame, rows, width, "float32")
        self._left_bytes = 2

    @property
    def wants_all_rows(self) -> bool:
        """As in `RegisterTile`."""
        return False

    def accumulate(self, steps: Steps, left: Left, right: Right, rows: Iterable[int]) -> None:
        """As in `RegisterTile`."""
        with T.attr(tirx.IntImm("int32", 0), "pragma_import_llvm", _BFMMLA):
            super().accumulate(steps, left, right, rows)

    def multiply_add(
        self, left: Callable[[int], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """As in `RegisterTile`; the second number of each word is 0."""
        super().multiply_add(
            lambda i: tirx.Cast("int32", left(i)),
            lambda c: tirx.Cast("int32x4", right(c)),
            rows,
        )

    def _multiply_run(
        self, size: int, left: Callable[[int], Any], right: Right, rows: Iterable[int]
    ) -> None:
        """As in `RegisterTile`."""

        def words(t: int) -> Callable[[Any], Any]:
            even, odd = right(2 * t), right(2 * t + 1)
            places = [tirx.IntImm("int32", place) for place in _ZIP]
            return lambda c: tirx.reinterpret("int32x4", tirx.Shuffle([even(c), odd(c)], places))

        super()._multiply_run(
            size // 2, lambda i: tirx.reinterpret("int32x4", left(i)), words, rows
        )

    def _product(self, total: Any, left: Any, right: Any) -> Any:
        """As in `MatrixTile`, of four numbers."""
        return tirx.call_extern("float32x4", "hetcomp_bfmmla", total, left, right)
