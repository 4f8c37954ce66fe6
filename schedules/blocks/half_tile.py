"""Register tiles that multiply numbers of 16 bits.

A scalar of 16 bits that all lanes of a vector need costs five instructions to read as float32, a
vector two. So the left operand is converted a block of steps at a time (`StagedTile`), or not at
all, where the processor multiplies float16 at twice float32's rate (`ChainTile`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tvm import tirx

from .frame import Frame, i32
from .register_tile import Left, RegisterTile, Right, Steps, load_run

__all__ = ["CHAIN", "LEAST_CHAIN", "ChainTile", "StagedTile"]

CHAIN = 32
"""Products that are added in float16 before the sum goes to float32. Each addition errs by up to
2^-11 of the sum so far: together by 4 roundings of a float16, as measured (root mean square). Half
as many halve the square of that, and cost another 20% of time."""
LEAST_CHAIN = 16
"""Products below which such sums go to float32 too often to pay."""
_OPENCL_LANES = 16
"""Elements of OpenCL C's longest vector."""
_STAGED = 64
"""Steps converted at a time: 256 bytes a row, so that TVM keeps them on the stack."""


class StagedTile(RegisterTile):
    """Float32 accumulators; the left operand is converted in vectors before it is used."""

    def accumulate(self, steps: Steps, left: Left, right: Right, rows: Iterable[int]) -> None:
        """As in `RegisterTile`; steps of `left` should be neighbours in memory."""
        frame, rows = self._frame, tuple(rows)
        plain = super().accumulate

        def stage(row: int, first: Any, extent: int) -> Any:
            buffer = frame.local("staged", extent)
            frame.vector_loop(extent, lambda k: frame.store(buffer, k, left(row, first + k, 1)))
            return buffer

        def block(first: Any, part: Steps) -> None:
            staged = {row: stage(row, first, part.extent) for row in rows}
            plain(
                replace(part, neighbours=True),
                lambda i, k, run: load_run(staged[i], k, run),
                lambda k: right(first + k),
                rows,
            )

        _in_blocks(frame, steps, _STAGED, block)


class ChainTile(RegisterTile):
    """Sums of at most `CHAIN` products in float16, added up in float32.

    Both operands are loads of float16.
    """

    def __init__(self, frame: Frame, rows: int, width: int) -> None:
        lanes = 2 * frame.facts.lanes
        lanes = min(lanes, _OPENCL_LANES) if frame.facts.opencl else lanes
        lanes = lanes if width % lanes == 0 else min(frame.facts.lanes, width)
        super().__init__(frame, rows, width, lanes=lanes)
        self._chains = RegisterTile(frame, rows, width, "float16", lanes)

    def accumulate(self, steps: Steps, left: Left, right: Right, rows: Iterable[int]) -> None:
        """As in `RegisterTile`."""
        rows = tuple(rows)

        def block(first: Any, part: Steps) -> None:
            self._chains.clear(rows)
            self._chains.accumulate(
                part, lambda i, k, run: left(i, first + k, run), lambda k: right(first + k), rows
            )
            self._add(rows)

        _in_blocks(self._frame, steps, CHAIN, block)

    def _add(self, rows: Iterable[int]) -> None:
        """The chains of `rows` to the sums."""
        for i in rows:
            for total, chain in zip(self._cells[i], self._chains.cells(i), strict=True):
                with self._frame.lanes(self._lanes) as lane:
                    term = tirx.Cast("float32", chain[lane])
                    self._frame.store(total, lane, total[lane] + term)


def _in_blocks(frame: Frame, steps: Steps, size: int, body: Callable[[Any, Steps], None]) -> None:
    """`body(first, steps of the block)` for blocks of `size` steps, and for what is left."""
    whole, rest = divmod(steps.extent, size)
    if whole == 1:
        body(i32(0), steps.block(size, i32(0), 1))
    elif whole:
        with frame.loop(whole) as index:
            body(frame.bind("first_step", index * size), steps.block(size, index, whole))
    if rest:
        body(i32(whole * size), Steps(rest, steps.unroll, neighbours=steps.neighbours))
