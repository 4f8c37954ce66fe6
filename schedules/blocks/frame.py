"""The frame every kernel shares: raw pointers, four range arguments, and the two tile loops.

A kernel `f(b0, b1, ..., r0, r1, c0, c1)` computes the tiles [r0, r1) x [c0, c1). On the CPU the
tiles are loop iterations; on OpenCL each is a work-group of one work-item, so the same body serves
both and one build serves every share of a split.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.ir import PointerType, PrimType
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

from ..expression import as_dtype, dtype_of
from ..facts import DeviceFacts
from ..half import HalfBuffer, HalfFormat
from ..program import Program

__all__ = ["FIRST_OF_ROW", "LINE", "Frame", "Param", "build_kernel", "i32", "program_params"]


LINE = 16
"""float32 elements of a 64-byte cache line."""
FIRST_OF_ROW = "HETCOMP_FIRST_OF_ROW"
"""What OpenCL C calls to ask whether no tile of the same row was before this one; see
`hetcomp.codegen.opencl_text`."""
_CPU = 1
"""DLPack's device type; TVM wants one named where a kernel has local buffers."""


@dataclass(frozen=True)
class Param:
    """A pointer argument: number of elements, element type, and its format if it has 16 bits."""

    size: int
    dtype: str
    half: HalfFormat | None = None

    def pointer(self, facts: DeviceFacts) -> str:
        """Element type in memory."""
        return self.dtype if self.half is None else self.half.pointer(facts)


class Frame:
    """Statements and buffers of one kernel while it is being built."""

    def __init__(self, facts: DeviceFacts, buffers: Sequence[Any], ranges: Sequence[Any]) -> None:
        self.facts = facts
        self.buffers = tuple(buffers)
        self.ranges = tuple(ranges)
        self._r0, self._r1, self._c0, self._c1 = ranges

    @contextmanager
    def tiles(self, *, rows_inner: bool = True) -> Iterator[tuple[Any, Any]]:
        """The two tile loops; yields row and channel tile index.

        Parameters
        ----------
        rows_inner
            Whether rows vary fastest (CPU; on OpenCL they always do).
        """
        if self.facts.opencl:
            with T.thread_binding(0, self._c1 - self._c0, thread="blockIdx.y") as channel:
                with T.thread_binding(0, self._r1 - self._r0, thread="blockIdx.x") as row:
                    yield self._r0 + row, self._c0 + channel
        elif rows_inner:
            with T.serial(0, self._c1 - self._c0) as channel:
                with T.serial(0, self._r1 - self._r0) as row:
                    yield self._r0 + row, self._c0 + channel
        else:
            with T.serial(0, self._r1 - self._r0) as row:
                with T.serial(0, self._c1 - self._c0) as channel:
                    yield self._r0 + row, self._c0 + channel

    @contextmanager
    def prepared_tiles(
        self, size: int, prepare: Callable[[Any, Any], None]
    ) -> Iterator[tuple[Any, Any, Any]]:
        """The tile loops, channels inner, for kernels that prepare a row tile for its channels.

        Yields row and channel tile index, and `size` float32 that outlive a tile, a buffer for
        each thread or work-item. `prepare(row, buffer)` runs where a row begins, and on OpenCL
        where a work-item's tiles begin.
        """
        if self.facts.opencl:
            with T.thread_binding(0, self._c1 - self._c0, thread="blockIdx.y") as channel:
                with T.thread_binding(0, self._r1 - self._r0, thread="blockIdx.x") as row:
                    memory = self._scratch(size)
                    with T.If(tirx.call_extern("int32", FIRST_OF_ROW) != 0), T.Then():
                        prepare(self._r0 + row, memory)
                    yield self._r0 + row, self._c0 + channel, memory
            return
        memory = self._scratch(size)
        with T.serial(0, self._r1 - self._r0) as row:
            prepare(self._r0 + row, memory)
            with T.serial(0, self._c1 - self._c0) as channel:
                yield self._r0 + row, self._c0 + channel, memory

    @contextmanager
    def tiles_with_scratch(self, size: int) -> Iterator[tuple[Any, Any]]:
        """The row tiles of a kernel without channel tiles; yields the tile and `size` float32."""
        memory = None if self.facts.opencl else self._scratch(size)
        with self.tiles() as (row, _):
            yield row, self._scratch(size) if memory is None else memory

    def _scratch(self, size: int) -> Any:
        """Workspace of the thread on the CPU; on OpenCL local memory, of which devices tell how
        much there is, unlike of private memory."""
        buffer = T.alloc_buffer((size,), scope="shared" if self.facts.opencl else "global")
        IRBuilder.name("scratch", buffer)
        return buffer

    @contextmanager
    def choose(self, condition: Any) -> Iterator[tuple[Any, Any]]:
        """A branch; yields the contexts of its two sides."""
        with T.If(condition):
            yield T.Then(), T.Else()

    def local(self, name: str, size: int, dtype: str = "float32") -> Any:
        """A register tile of `size` elements.

        On the CPU TVM keeps a buffer of `global` scope below 1 KiB on the stack, whence LLVM
        promotes it to registers; one of `local` scope would be a workspace call.
        """
        scope = "local" if self.facts.opencl else "global"
        buffer = T.alloc_buffer((size,), dtype, scope=scope)
        IRBuilder.name(name, buffer)
        return buffer

    def bind(self, name: str, value: Any) -> Any:
        """Name an index so that it is computed once."""
        var = T.bind(value)
        IRBuilder.name(name, var)
        return var

    def hold(self, name: str, value: Any) -> Any:
        """As `bind`, but opaque to TVM, which writes out what is bound wherever it is used.

        For long index expressions: written out they hide from TVM that a vector's elements are
        neighbours, and fill pages of OpenCL C.
        """
        cell = self.local(name, 1, "int32")
        self.store(cell, 0, value)
        return cell[0]

    def offset(self, name: str, value: Any) -> Any:
        """Name an element offset that several loads share, each adding its own distance.

        In OpenCL C it has 64 bits: compilers lose the knowledge that a sum of 32 bits does not
        overflow, and then keep an address for every load instead of one with distances.
        """
        return self.bind(name, tirx.Cast("int64", value) if self.facts.opencl else value)

    def store(self, buffer: Any, index: Any, value: Any) -> None:
        """Store `value` (scalar or vector) at the flat `index`."""
        if isinstance(buffer, HalfBuffer):
            buffer, value = buffer.memory, buffer.stored(value)
        T.buffer_store(buffer, value, [index])

    def prefetch(self, buffer: Any, index: Any) -> None:
        """Ask for the cache line at `buffer[index]` ahead of use.

        OpenCL C's own `prefetch` does nothing on PoCL; the runtime's prologue defines a macro
        that reaches the compiler's builtin where the device is a CPU, and nothing elsewhere.
        """
        memory = buffer.memory if isinstance(buffer, HalfBuffer) else buffer
        address = tirx.address_of(memory[index])
        if self.facts.opencl:
            T.evaluate(tirx.call_extern("int32", "HETCOMP_PREFETCH", address))
            return
        read, locality, data = i32(0), i32(2), i32(1)
        T.evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch.p0", address, read, locality, data))

    def prefetching_loop(
        self, extent: int, chunk: int, prefetch: Callable[[Any, int], None] | None,
        body: Callable[[Any], None], unroll: int = 1,
    ) -> None:  # fmt: skip
        """`body(k)` for `extent` steps; before every `chunk` of them `prefetch(piece, pieces)`."""
        pieces = extent // chunk
        if prefetch is None or pieces == 0:
            self.unrolled_loop(extent, unroll, body)
            return
        with self.loop(pieces) as piece:
            prefetch(piece, pieces)
            self.unrolled_loop(chunk, unroll, lambda k: body(piece * chunk + k))
        if extent % chunk:
            self.unrolled_loop(extent % chunk, unroll, lambda k: body(k + pieces * chunk))

    def unrolled_loop(self, extent: int, unroll: int, body: Callable[[Any], None]) -> None:
        """`body(k)` for `extent` steps, `unroll` of them an iteration."""
        whole = extent // unroll
        if whole:
            with self.loop(whole) as k:
                for step in range(unroll):
                    body(k * unroll + step if unroll > 1 else k)
        for step in range(whole * unroll, extent):
            body(i32(step))

    def steps(self, extent: int) -> Iterator[Any]:
        """The steps of a short loop: each by itself on the CPU, a loop in OpenCL C.

        Straight-line code keeps more in registers; as text of vectors of 16 it takes the driver
        seconds to compile.
        """
        if not self.facts.opencl:
            yield from map(i32, range(extent))
            return
        with T.serial(0, extent) as step:
            yield step

    def loop(self, extent: Any) -> Any:
        """A serial loop from 0; use as a context manager."""
        return T.serial(0, extent)

    def vector_loop(self, extent: int, body: Callable[[Any], None]) -> None:
        """Run `body(index)` for `extent` elements: whole vectors, then narrower ones."""

        def piece(start: Any, width: int) -> None:
            with self.lanes(width) as lane:
                body(start + lane)

        self.chunk_loop(extent, piece)

    def chunk_loop(self, extent: int, body: Callable[[Any, int], None]) -> None:
        """`body(first, width)` for `extent` elements: whole vectors, then narrower ones."""
        lanes = self.facts.lanes
        whole = extent // lanes
        if whole == 1:
            body(i32(0), lanes)
        elif whole > 1:
            with T.serial(0, whole) as chunk:
                body(chunk * lanes, lanes)
        self.tail(whole * lanes, extent, body)

    def tail(self, start: int, stop: int, body: Callable[[Any, int], None]) -> None:
        """`body(first, width)` for the elements [start, stop), in narrower and narrower vectors."""
        width = self.facts.lanes // 2
        while width > 1:
            if stop - start >= width:
                body(i32(start), width)
                start += width
            width //= 2
        if start < stop:
            body(i32(start), 1)

    @contextmanager
    def lanes(self, width: int) -> Iterator[Any]:
        """The lane index of a vector of `width` elements; 0 where that is one."""
        if width == 1:
            yield i32(0)
            return
        with T.vectorized(0, width) as lane:
            yield lane


def program_params(program: Program) -> list[Param]:
    """The pointer arguments of a kernel that takes the parameters of `program` as they are."""
    return [
        Param(program.memory_size(position), str(buffer.dtype), program.halves.get(position))
        for position, buffer in enumerate(program.params)
    ]


def build_kernel(
    symbol: str,
    params: Sequence[Param],
    facts: DeviceFacts,
    body: Callable[[Frame], None],
    *,
    no_alias: bool = True,
) -> tirx.PrimFunc:
    """Build the PrimFunc `symbol` whose statements `body` emits.

    `no_alias` promises the compiler that no two parameters share memory.
    """
    with warnings.catch_warnings(), IRBuilder() as builder:
        warnings.simplefilter("ignore", DeprecationWarning)
        with T.prim_func(s_tir=True):
            T.func_name(symbol)
            T.func_attr(
                {"global_symbol": symbol, "tirx.noalias": no_alias, "tirx.is_scheduled": True}
            )
            kinds = [param.pointer(facts) for param in params]
            pointers = [_pointer(index, kind) for index, kind in enumerate(kinds)]
            ranges = [T.arg(name, tirx.Var(name, "int32")) for name in ("r0", "r1", "c0", "c1")]
            buffers = [
                _buffer(index, param, facts, pointer)
                for index, (param, pointer) in enumerate(zip(params, pointers, strict=True))
            ]
            with T.attr(0, "device_id", 0), T.attr(0, "device_type", _CPU):
                body(Frame(facts, buffers, ranges))
    return builder.get()


def _pointer(index: int, kind: str) -> Any:
    name = f"b{index}"
    return T.arg(name, tirx.Var(name, PointerType(PrimType(kind), "global")))


def _buffer(index: int, param: Param, facts: DeviceFacts, pointer: Any) -> Any:
    buffer = T.decl_buffer((max(1, param.size),), param.pointer(facts), data=pointer)
    IRBuilder.name(f"b{index}", buffer)
    return buffer if param.half is None else HalfBuffer(buffer, param.half, facts)


def i32(value: int) -> Any:
    """A 32-bit integer constant."""
    return tirx.IntImm("int32", value)


def cast_for(buffer: Any, value: Any) -> Any:
    """`value` in the element type of `buffer`."""
    return value if dtype_of(value) == str(buffer.dtype) else as_dtype(value, str(buffer.dtype))
