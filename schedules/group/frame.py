"""The frame of kernels for OpenCL class `gpu`: work-items that share a work-group's tiles.

A work-group computes `group.tiles` row and channel tiles of the range it was asked for. Statements
emitted inside `tiles()` are run by every item; `each` deals elements out to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from ..blocks.frame import Frame, Param, build_kernel, i32
from ..facts import GroupFacts
from ..scheduled import GroupKernel, WorkGroup

__all__ = ["GroupFrame", "TileSpan", "group_kernel"]


@dataclass(frozen=True)
class TileSpan:
    """Half-open ranges of row and channel tiles of one work-group."""

    row: Any
    row_end: Any
    channel: Any
    channel_end: Any


class GroupFrame(Frame):
    """Statements and buffers of a kernel whose work-items share tiles.

    Attributes
    ----------
    group
        Its items and tiles.
    x, y, item
        The item's place in the group, and the same as one number; valid inside `tiles`.
    """

    def __init__(self, frame: Frame, group: WorkGroup) -> None:
        super().__init__(frame.facts, frame.buffers, frame.ranges)
        self.group = group
        self.x: Any = None
        self.y: Any = None
        self.item: Any = None

    @contextmanager
    def spans(self) -> Iterator[TileSpan]:
        """Work-groups and items; yields the group's tiles."""
        r0, r1, c0, c1 = self.ranges
        rows, channels = self.group.tiles
        wide, high = self.group.items
        with T.thread_binding(0, _groups(c1 - c0, channels), thread="blockIdx.y") as channel:
            with T.thread_binding(0, _groups(r1 - r0, rows), thread="blockIdx.x") as row:
                with T.thread_binding(0, wide, thread="threadIdx.x") as x:
                    with T.thread_binding(0, high, thread="threadIdx.y") as y:
                        self.x, self.y = x, y
                        self.item = self.bind("item", y * wide + x)
                        yield self._span(row * rows, channel * channels)

    def _span(self, row: Any, channel: Any) -> TileSpan:
        r0, r1, c0, c1 = self.ranges
        rows, channels = self.group.tiles
        first_row = self.bind("row", r0 + row)
        first_channel = self.bind("channel", c0 + channel)
        return TileSpan(
            first_row,
            first_row + 1 if rows == 1 else self.bind("rows", tirx.min(first_row + rows, r1)),
            first_channel,
            first_channel + 1
            if channels == 1
            else self.bind("channels", tirx.min(first_channel + channels, c1)),
        )

    def shared(self, name: str, size: int, dtype: str = "float32") -> Any:
        """Local memory of the work-group."""
        buffer = T.sblock_alloc_buffer((size,), dtype, scope="shared")
        IRBuilder.name(name, buffer)
        return buffer

    def sync(self) -> None:
        """All items come here before any goes on; what they wrote to local memory is seen."""
        T.evaluate(T.tvm_storage_sync("shared"))

    def sync_memory(self) -> None:
        """As `sync`, for global memory too (a macro of the runtime's prologue)."""
        T.evaluate(tirx.call_extern("int32", "HETCOMP_GROUP_SYNC"))

    @contextmanager
    def loop_with_sync(self, extent: Any) -> Iterator[Any]:
        """A loop whose body contains `sync`; all items take it as often.

        It ends in one too: PoCL 3.1 else counts on before all items have used the counter.
        """
        if extent == 1:
            yield i32(0)
            return
        with self.loop(extent) as index:
            yield index
            self.sync()

    @contextmanager
    def when(self, condition: Any) -> Iterator[None]:
        """Statements under a condition; None is always true."""
        if condition is None:
            yield
            return
        with T.If(condition), T.Then():
            yield

    def otherwise(self, condition: Any, then: Callable[[], None], els: Callable[[], None]) -> None:
        """`then()` where `condition` holds, else `els()`; None is always true."""
        if condition is None:
            then()
            return
        with T.If(condition):
            with T.Then():
                then()
            with T.Else():
                els()

    def each(self, extent: Any, body: Callable[[Any], None]) -> None:
        """`body(index)` once for every index below `extent`, neighbours to neighbouring items."""
        items = self.group.count
        known = extent if isinstance(extent, int) else None
        if known is not None and known <= items:
            with self.when(None if known == items else self.item < known):
                body(self.item)
            return
        whole = known is not None and known % items == 0
        with self.loop(_groups(extent, items)) as step:
            index = self.bind("index", step * items + self.item)
            with self.when(None if whole else index < extent):
                body(index)


def group_kernel(
    facts: GroupFacts, group: WorkGroup, params: Sequence[Param],
    body: Callable[[GroupFrame], None], *, no_alias: bool = True,
) -> GroupKernel:  # fmt: skip
    """A kernel whose statements `body` emits into a `GroupFrame`; see `build_kernel`."""

    def emit(symbol: str) -> tirx.PrimFunc:
        return build_kernel(
            symbol,
            params,
            facts.device,
            lambda frame: body(GroupFrame(frame, group)),
            no_alias=no_alias,
        )

    return GroupKernel(group, emit)


def _groups(extent: Any, size: int) -> Any:
    if size == 1:
        return extent
    if isinstance(extent, int):
        return -(-extent // size)
    return tirx.floordiv(extent + (size - 1), i32(size))
