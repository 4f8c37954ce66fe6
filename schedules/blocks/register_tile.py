"""The register tile: rows x channels of accumulators, the core of every matrix-like kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from .frame import Frame

__all__ = [
    "ChannelTiles",
    "Left",
    "RegisterTile",
    "Right",
    "Steps",
    "channel_tiles",
    "load_run",
    "row_tile",
    "tiles_per_unit",
]

_VECTOR_BYTES = 16
"""Of the registers whose lanes a product takes."""
_LOAD_COST = 1.0
"""Loads of one weight row, in rows of work: why taller tiles are faster."""
_NARROW_PENALTY = 1.15
"""A tile one vector wide keeps fewer multiply-adds in flight per broadcast."""
_UNIT_FLOPS = 400_000
"""Work of one row unit times one channel tile worth a work-group on PoCL (about 3 us)."""
_MIN_UNITS = 16
"""Row units below which a split could no longer follow the wanted share."""


@dataclass(frozen=True)
class ChannelTiles:
    """How `channels` outputs are covered by tiles of `width`, the last one overlapping.

    `valid < width` only where there are fewer channels than one vector: then the tile is padded
    and only `valid` channels are stored.
    """

    channels: int
    width: int
    count: int
    valid: int

    @property
    def ragged(self) -> bool:
        """Whether the last tile overlaps its predecessor."""
        return self.count > 1 and self.channels % self.width != 0

    def begin(self, tile: Any) -> Any:
        """First channel of `tile`."""
        if not self.ragged:
            return tile * self.width
        return tirx.min(tile * self.width, self.channels - self.width)


def channel_tiles(
    channels: int, lanes: int, max_vectors: int, chosen: int | None = None
) -> ChannelTiles:
    """Cover `channels` in tiles of `chosen` vectors, or with the least padded work in tiles of 1 to
    `max_vectors` vectors."""
    if channels < lanes:
        return ChannelTiles(channels, lanes, 1, channels)
    if chosen is not None:
        width = chosen * lanes
        return ChannelTiles(channels, width, -(-channels // width), width)
    best: tuple[float, int] | None = None
    vectors = max_vectors
    while vectors >= 1:
        width = vectors * lanes
        if width <= channels:
            cost = -(-channels // width) * width * (_NARROW_PENALTY if vectors == 1 else 1.0)
            best = min(best, (cost, width)) if best is not None else (cost, width)
        vectors //= 2
    assert best is not None
    return ChannelTiles(channels, best[1], -(-channels // best[1]), best[1])


def row_tile(rows: int, max_rows: int) -> int:
    """Height of the tiles that cover `rows` with the least work."""
    heights = range(1, min(rows, max_rows) + 1)
    return min(heights, key=lambda h: (-(-rows // h) * (h + _LOAD_COST), -h))


def tiles_per_unit(tiles: int, tile_flops: int) -> int:
    """Row tiles per unit of splitting: enough work for a work-group, units enough to split."""
    by_work = max(1, _UNIT_FLOPS // max(1, tile_flops))
    return max(1, min(by_work, tiles // _MIN_UNITS))


Left = Callable[[int, Any, int], Any]
"""The left operand at a row, from a step on, for so many steps."""
Right = Callable[[Any], Callable[[Any], Any]]
"""The right operand at a step: a function of the channel offset."""


@dataclass(frozen=True)
class Steps:
    """Steps of the multiplied axis, unrolled and with lines asked for ahead as in
    `Frame.prefetching_loop`; `neighbours` if their left operands lie side by side."""

    extent: int
    unroll: int = 1
    chunk: int = 1
    ask: Callable[[Any, int], None] | None = None
    neighbours: bool = False

    def block(self, size: int, index: Any, count: int) -> Steps:
        """The block of `size` steps number `index`, of `count`."""
        ask = self.ask
        if ask is None:
            return Steps(size, self.unroll, neighbours=self.neighbours)
        return Steps(
            size,
            self.unroll,
            min(self.chunk, size),
            lambda piece, pieces: ask(index * pieces + piece, pieces * count),
            self.neighbours,
        )

    def runs(self, size: int) -> Steps:
        """Runs of `size` steps instead of steps; what is left over is not among them."""
        ask, each = self.ask, max(1, size // self.chunk)

        def ask_each(piece: Any, pieces: int) -> None:
            for part in range(each):
                assert ask is not None
                ask(piece * each + part, pieces * each)

        chunk, unroll = max(1, self.chunk // size), max(1, self.unroll // size)
        return Steps(self.extent // size, unroll, chunk, None if ask is None else ask_each)


class RegisterTile:
    """Accumulators of `rows` x `width` numbers, each vector a buffer of its own.

    A buffer of exactly one vector becomes one register: LLVM promotes it on the CPU, and TVM
    declares it as a vector variable in OpenCL C.

    Parameters
    ----------
    frame
        Kernel being built.
    rows, width
        Size of the tile; `width` is a multiple of the device's lanes, or below them a power of
        two.
    dtype
        Type of the accumulators.
    lanes
        Elements of a vector of them; None for the device's lanes.
    """

    def __init__(
        self,
        frame: Frame,
        rows: int,
        width: int,
        dtype: str = "float32",
        lanes: int | None = None,
    ) -> None:
        self._frame = frame
        self._lanes = lanes or min(frame.facts.lanes, width)
        self._vectors = width // self._lanes
        self._cells = [
            [frame.local("acc", self._lanes, dtype) for _ in range(self._vectors)]
            for _ in range(rows)
        ]
        self._zero = tirx.const(0, dtype)
        self._left_bytes = 2 if dtype == "float16" else 4
        self.clear(range(rows))

    @property
    def wants_all_rows(self) -> bool:
        """Whether a step of all rows is cheaper than one of some, the others multiplying what they
        read as padding."""
        return False

    def clear(self, rows: Iterable[int]) -> None:
        """Set the accumulators of the given rows to zero."""
        for row in rows:
            for cell in self._cells[row]:
                with self._frame.lanes(self._lanes) as lane:
                    self._frame.store(cell, lane, self._zero)

    def cells(self, row: int) -> Sequence[Any]:
        """The accumulators of a row, a buffer for each vector."""
        return self._cells[row]

    def accumulate(self, steps: Steps, left: Left, right: Right, rows: Iterable[int]) -> None:
        """`acc[i, c] += left(i, k, 1) * right(k)(c)` for all steps `k` and the given rows."""
        rows = tuple(rows)

        def step(k: Any) -> None:
            self._multiply_step(lambda i: left(i, k, 1), right(k), rows)

        by_lane = self._frame.facts.by_lane and not self._frame.facts.opencl
        size = _VECTOR_BYTES // self._left_bytes if by_lane and steps.neighbours else 1
        if size == 1 or steps.extent < size:
            self._loop(steps, step)
            return

        def run(index: Any) -> None:
            first = self._frame.bind("run", index * size)
            self._multiply_run(
                size, lambda i: left(i, first, size), lambda t: right(first + t), rows
            )

        self._loop(steps.runs(size), run)
        for k in range(steps.extent // size * size, steps.extent):
            step(tirx.IntImm("int32", k))

    def _loop(self, steps: Steps, body: Callable[[Any], None]) -> None:
        self._frame.prefetching_loop(steps.extent, steps.chunk, steps.ask, body, steps.unroll)

    def _multiply_step(
        self, left: Callable[[int], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """One step of `accumulate`."""
        self.multiply_add(left, right, rows)

    def _multiply_run(
        self, size: int, left: Callable[[int], Any], right: Right, rows: Iterable[int]
    ) -> None:
        """`size` steps, of which `left` gives a row's operands as one vector.

        Row by row: a vector of them is needed no longer than its row takes, and the weights of
        the run stay in registers.
        """
        frame, whole = self._frame, self.vector(0)
        numbers = {i: frame.bind("x", left(i)) for i in rows}
        for t in range(size):
            weights = self._vectors_of(right(t))
            for i, vector in numbers.items():
                number = self._spread(tirx.Shuffle([vector], [tirx.IntImm("int32", t)]))
                for cell, weight in zip(self._cells[i], weights, strict=True):
                    frame.store(cell, whole, cell[whole] + number * weight)

    def _vectors_of(self, right: Callable[[Any], Any]) -> list[Any]:
        """The right operand of one step in vectors."""
        found = []
        for j in range(self._vectors):
            register = self._frame.local("w", self._lanes, str(self._zero.ty.dtype))
            with self._frame.lanes(self._lanes) as lane:
                self._frame.store(register, lane, right(lane + j * self._lanes))
            found.append(register[self.vector(0)])
        return found

    def _spread(self, number: Any) -> Any:
        """`number` in all lanes."""
        return tirx.Broadcast(number, self._lanes) if self._lanes > 1 else number

    def multiply_add(
        self, left: Callable[[int], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """`acc[i, c] += left(i) * right(c)` for the given rows; `right` takes a channel offset."""
        for i in rows:
            scalar = self._frame.bind("x", left(i))
            self.multiply_add_each(lambda _i, _c, scalar=scalar: scalar, right, (i,))  # type: ignore[misc]

    def multiply_add_each(
        self, left: Callable[[int, Any], Any], right: Callable[[Any], Any], rows: Iterable[int]
    ) -> None:
        """As `multiply_add`, with a left operand that varies by channel (depthwise)."""
        for i in rows:
            for j, cell in enumerate(self._cells[i]):
                with self._frame.lanes(self._lanes) as lane:
                    channel = lane + j * self._lanes
                    self._frame.store(cell, lane, cell[lane] + left(i, channel) * right(channel))

    def finish(self, store: Callable[[int, Any, Any], None], valid: int | None = None) -> None:
        """Call `store(row, channel offset, accumulator)`; only for `valid` channels if given."""
        padded = valid is not None and valid < self._lanes * self._vectors
        for i, row in enumerate(self._cells):
            for j, cell in enumerate(row):
                if padded:
                    for c in range(min(self._lanes, (valid or 0) - j * self._lanes)):
                        store(i, tirx.IntImm("int32", j * self._lanes + c), cell[c])
                    continue
                with self._frame.lanes(self._lanes) as lane:
                    store(i, lane + j * self._lanes, cell[lane])

    def finish_rows(self, store: Callable[[Any, Any, Any], None], valid: int | None = None) -> None:
        """`finish` in a loop over the rows: where `store` is long, code must not be.

        On OpenCL element by element, for TVM has no vectors of bytes there.
        """
        frame, lanes, height = self._frame, self._lanes, len(self._cells)
        for j in range(self._vectors):
            kept = min(lanes, lanes if valid is None else valid - j * lanes)
            stack = frame.local("stack", height * lanes, str(self._cells[0][j].dtype))
            for i, row in enumerate(self._cells):
                frame.store(stack, self.vector(i * lanes), row[j][self.vector(0)])
            with frame.loop(height) as i:
                if kept < lanes or frame.facts.opencl:
                    with frame.loop(kept) as c:
                        store(i, c + j * lanes, stack[i * lanes + c])
                    continue
                with frame.lanes(lanes) as lane:
                    store(i, lane + j * lanes, stack[i * lanes + lane])

    def vector(self, start: int) -> Any:
        """Index of a vector of a register buffer."""
        first = tirx.IntImm("int32", start)
        return tirx.Ramp(first, 1, self._lanes) if self._lanes > 1 else first


def load_run(buffer: Any, first: Any, size: int) -> Any:
    """`size` neighbouring elements of `buffer` as one vector, or one as a number."""
    return buffer[first if size == 1 else tirx.Ramp(first, 1, size)]
