"""Which axes of a row-wise program are rows, how rows make tiles, and which stages are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from ..expression import Translator
from ..program import NotStaged, Program, Stage
from ..segments import breakpoints

__all__ = ["RowLayout", "in_place_inputs", "row_layout"]

_ENOUGH_ROWS = 16
"""Tiles that let a split come within about 3% of any share."""
_INLINE_LIMIT = 256
"""Loads per element above which a chain is not computed in one piece."""
_TILE_WORK = 2048
"""Elements of a tile below which rows are grouped: a work-group costs about 0.2 us on PoCL."""
_LINE = 16
"""Float32 elements of a cache line: blocks of columns begin at multiples of it."""
_BLOCK = 64
"""Columns of a block that keep enough additions in flight; narrower ones only to have two."""


@dataclass(frozen=True)
class RowLayout:
    """Rows and tiles.

    Attributes
    ----------
    prefix
        Number of leading axes that are rows.
    rows
        Product of their extents.
    group
        Rows per tile; divides `rows`.
    kept
        Stages whose values are stored, in order; all others are computed where they are read.
    blocks
        Parts of equal size into which the last axis is cut because there are few rows; the tiles
        of a block follow each other.
    """

    prefix: int
    rows: int
    group: int
    kept: tuple[Stage, ...]
    blocks: int = 1

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.rows // self.group * self.blocks

    @property
    def width(self) -> int:
        """Columns of a block; of all stages alike, where there is more than one block."""
        return self.kept[-1].shape[-1] // self.blocks


def row_layout(program: Program) -> RowLayout:
    """Choose rows and tiles for `program`.

    Raises
    ------
    NotStaged
        If the stages cannot be computed one row at a time.
    """
    try:
        kept, limit = _keep(program, shared=True)
    except NotStaged:
        kept, limit = _keep(program, shared=False)
    shape = program.stages[-1].shape
    prefix = _choose_prefix(kept, shape, limit)
    if not _scratch_fits(program, kept, prefix):
        prefix = limit  # one element a row needs no scratch
    blocks = _blocks(program, kept, limit)
    if blocks > 1:
        prefix = len(shape) - 1
    rows = math.prod(shape[:prefix])
    work = max(1, math.prod(shape) // max(1, rows)) * max(
        math.prod(axis.extent for axis in stage.reduce) for stage in program.stages
    )
    wanted = max(1, min(_TILE_WORK // work, rows // _ENOUGH_ROWS))
    group = max(divisor for divisor in range(1, wanted + 1) if rows % divisor == 0)
    return RowLayout(prefix, rows, group, kept, blocks)


def _blocks(program: Program, kept: Sequence[Stage], limit: int) -> int:
    """Blocks of columns that let few long rows be shared, where columns are independent."""
    *lead, columns = kept[-1].shape or (1,)
    rows, work = math.prod(lead), sum(_work(stage) for stage in kept)
    if limit < len(lead) + 1 or rows >= _ENOUGH_ROWS or any(map(_has_pieces, program.stages)):
        return 1
    if not _scratch_fits(program, kept, len(lead)):
        return 1
    most = min(-(-_ENOUGH_ROWS // rows), work // _TILE_WORK)
    even = [b for b in range(2, most + 1) if columns % (b * _LINE) == 0]
    wide = [b for b in even if columns // b >= _BLOCK]
    return max(wide, default=min(even, default=1))


def _work(stage: Stage) -> int:
    return math.prod(stage.shape) * math.prod(axis.extent for axis in stage.reduce)


def _has_pieces(stage: Stage) -> bool:
    """Whether an element-wise stage is made of different parts along its row."""
    axis = stage.spatial[-1]
    return not stage.reduce and len(breakpoints(stage.value, axis.var, axis.extent)) > 1


def _keep(program: Program, *, shared: bool) -> tuple[tuple[Stage, ...], int]:
    """Stages to store and the leading axes they share; with `shared`, also element-wise stages
    that several others read, which are else computed anew at each reader."""
    kept = tuple(stage for stage in program.stages if _is_kept(program, stage, shared))
    limit = _common_prefix(program, kept)
    _check_scratch(program, kept, limit)
    if not shared and _inlined_size(program, kept) > _INLINE_LIMIT:
        raise NotStaged("computing shared values anew would multiply the work")
    return kept, limit


def _inlined_size(program: Program, kept: Sequence[Stage]) -> int:
    """Loads per element of all kept stages with every other stage computed in place."""
    sizes: list[tuple[Any, int]] = []
    total = 0
    for stage in program.stages:
        size = 0
        for buffer in _loaded(stage):
            size += next((s for b, s in sizes if b.same_as(buffer)), 1)
        is_kept = any(stage is other for other in kept)
        sizes.append((stage.buffer, 1 if is_kept else size))
        total += size if is_kept else 0
    return total


def _loaded(stage: Stage) -> list[Any]:
    found: list[Any] = []

    def load(target: Any, _indices: Sequence[Any]) -> Any:
        found.append(target)
        return tirx.const(0, str(target.dtype))

    Translator([], load, free=True)(stage.value)
    return found


def _choose_prefix(kept: Sequence[Stage], shape: tuple[int, ...], limit: int) -> int:
    if any(len(stage.shape) != len(shape) for stage in kept):
        return limit
    for length in range(limit + 1):
        if math.prod(shape[:length]) >= _ENOUGH_ROWS:
            return max(0, min(length, len(shape) - 1))
    return max(0, min(limit, len(shape) - 1))


def _is_kept(program: Program, stage: Stage, shared: bool) -> bool:
    if stage.reduce or program.is_output(stage.buffer):
        return True
    if not shared:
        return False
    readers = sum(bool(_reads_of(reader, stage.buffer)) for reader in program.stages)
    return readers > 1


def _reads_of(stage: Stage, buffer: Any) -> list[list[Any]]:
    """Index lists under which `stage` loads `buffer`."""
    found: list[list[Any]] = []

    def load(target: Any, indices: Sequence[Any]) -> Any:
        if target.same_as(buffer):
            found.append(list(indices))
        return tirx.const(0, str(target.dtype))

    Translator([], load, free=True)(stage.value)
    return found


def _common_prefix(program: Program, kept: Sequence[Stage]) -> int:
    """Number of leading axes all kept stages share and read at their own position."""
    shape = kept[-1].shape
    limit = len(shape)
    for stage in kept:
        limit = min(limit, _equal_prefix(stage.shape, shape))
    for stage in program.stages:
        for other in kept:
            if other is not stage:
                limit = min([limit, *_own_positions(stage, other)])
    return limit


def _equal_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    same = 0
    while same < min(len(left), len(right)) and left[same] == right[same]:
        same += 1
    return same


def _own_positions(stage: Stage, other: Stage) -> list[int]:
    """For each read of `other` in `stage`: how many leading indices are the stage's own axes."""
    return [_own_prefix(stage, indices) for indices in _reads_of(stage, other.buffer)]


def _own_prefix(stage: Stage, indices: Sequence[Any]) -> int:
    same = 0
    while same < min(len(indices), len(stage.spatial)) and _is_own(stage, same, indices[same]):
        same += 1
    return same if same < len(indices) else len(stage.spatial)


def _is_own(stage: Stage, position: int, index: Any) -> bool:
    axis = stage.spatial[position]
    if axis.extent == 1:
        return True
    while isinstance(index, tirx.Cast):
        index = index.value
    return bool(index.same_as(axis.var))


def _check_scratch(program: Program, kept: Sequence[Stage], limit: int) -> None:
    """Stages with a row of elements that are no output use the output's own row as scratch."""
    scratch = _scratch(program, kept, limit)
    if not scratch:
        return
    final = program.stages[-1]
    same_memory = (
        len(scratch) == 1
        and len(program.outputs) == 1
        and scratch[0].shape == final.shape
        and str(scratch[0].buffer.dtype) == str(final.buffer.dtype)
    )
    if not same_memory:
        raise NotStaged("an intermediate row does not fit into the row of the output")
    reads = _reads_of(final, scratch[0].buffer)
    if not all(_own_prefix(final, indices) == len(final.shape) for indices in reads):
        raise NotStaged("the last stage reads other elements of an intermediate than it writes")


def _scratch_fits(program: Program, kept: Sequence[Stage], prefix: int) -> bool:
    try:
        _check_scratch(program, kept, prefix)
    except NotStaged:
        return False
    return True


def _scratch(program: Program, kept: Sequence[Stage], prefix: int) -> list[Stage]:
    """Kept stages with a row of elements that are no output."""
    return [
        stage
        for stage in kept
        if not program.is_output(stage.buffer) and math.prod(stage.shape[prefix:]) > 1
    ]


def in_place_inputs(program: Program, layout: RowLayout) -> frozenset[int]:
    """Inputs of an element-wise program that are read at the output's own place only, and not
    after an intermediate row was stored there."""
    final = program.stages[-1]
    if any(stage.reduce for stage in program.stages) or len(program.outputs) != 1:
        return frozenset()
    if _scratch(program, layout.kept, layout.prefix):
        return frozenset()
    own = [tirx.Var(f"i{d}", "int32") for d in range(len(final.shape))]
    elsewhere: set[int] = set()

    def load(buffer: Any, indices: Sequence[Any]) -> Any:
        stage = program.stage_of(buffer)
        if stage is not None:
            pairs = [(axis.var, index) for axis, index in zip(stage.spatial, indices, strict=True)]
            return Translator(pairs, load)(stage.value)
        position = next(i for i, b in enumerate(program.params) if b.same_as(buffer))
        same = len(indices) == len(own) and all(
            index.same_as(place) for index, place in zip(indices, own, strict=True)
        )
        if not same:
            elsewhere.add(position)
        return tirx.const(0, str(buffer.dtype))

    Translator([(a.var, place) for a, place in zip(final.spatial, own, strict=True)], load)(
        final.value
    )
    return frozenset(
        position
        for position, buffer in enumerate(program.inputs)
        if position not in elsewhere
        and tuple(int(dim) for dim in buffer.shape) == final.shape
        and str(buffer.dtype) == str(final.buffer.dtype)
        and program.halves.get(position) == program.halves.get(len(program.inputs))
    )
