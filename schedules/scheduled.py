"""What a schedule rule hands back: kernels for each processor, tile grids, weight packing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm import tirx

from hetcomp.cost.kernel_facts import KernelFacts

from .choice import Space
from .facts import DeviceFacts, GroupFacts
from .half import HalfFormat

__all__ = [
    "Emit",
    "ForGroups",
    "GroupKernel",
    "Packing",
    "Scheduled",
    "TileGrid",
    "WorkGroup",
    "as_half",
]

Emit = Callable[[str, DeviceFacts], tirx.PrimFunc]
"""Emits the kernel under a symbol for a device."""


@dataclass(frozen=True)
class WorkGroup:
    """Work-items of a group by `get_local_id(0)` and `(1)`, and the tiles that they share.

    Attributes
    ----------
    items
        Work-items in both directions.
    tiles
        Row and channel tiles of one group; the last group of a range may have fewer.
    text
        What the group does, for `explain`.
    """

    items: tuple[int, int] = (1, 1)
    tiles: tuple[int, int] = (1, 1)
    text: str = "one work-item a tile"

    @property
    def count(self) -> int:
        """Work-items of the group."""
        return self.items[0] * self.items[1]


@dataclass(frozen=True)
class GroupKernel:
    """A kernel for OpenCL class `gpu`: emitted under a symbol, launched as `group` says."""

    group: WorkGroup
    emit: Callable[[str], tirx.PrimFunc]


ForGroups = Callable[[GroupFacts], GroupKernel]
"""Chooses the work-group for a device of class `gpu`."""


@dataclass(frozen=True)
class Packing:
    """How a constant operand is laid out for the kernel, computed in NumPy at compile time.

    Attributes
    ----------
    key
        Names the layout; equal keys give equal bytes, so that a weight is stored once.
    apply
        From the operand's array to the packed array.
    """

    key: str
    apply: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]

    def in_half(self, form: HalfFormat | None) -> Packing:
        """The same in 16 bits; itself without a format."""
        if form is None:
            return self

        def apply(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return form.rounded(self.apply(np.asarray(array, np.float32)))

        return Packing(f"{self.key} {form.name}", apply)


def as_half(form: HalfFormat | None) -> Packing | None:
    """The array as it is, in 16 bits; None without a format."""
    return None if form is None else Packing("", lambda array: array).in_half(form)


@dataclass(frozen=True)
class TileGrid:
    """Tiles along one range: count, and whether the last overlaps its predecessor."""

    extent: int
    ragged: bool = False


@dataclass(frozen=True)
class Scheduled:
    """A task's kernels before code generation.

    Attributes
    ----------
    kind
        Family: `conv2d`, `depthwise`, `linear`, `matmul`, `attention`, `rowwise`, `opaque`.
    emit
        Emits the kernel for a device.
    rows, channels
        Tile grids of the two ranges.
    flops
        Multiply-adds counted twice, of the whole task.
    preferred_axis, axis_reason
        Axis a split should take, and why.
    heads
        Independent batches of a matmul, 0 elsewhere.
    packings
        By input index.
    rows_inner
        Whether row tiles vary fastest among OpenCL's work-groups.
    why_no_opencl
        Not empty where there is no OpenCL kernel.
    variant
        Algorithm within the family: `direct`, or the name of one that was chosen instead.
    space
        What a `Choice` may set here.
    for_groups
        The version for OpenCL class `gpu`, on the same tiles and packed weights; without one such
        a device runs `emit`'s kernel, one work-item a tile.
    single_bytes
        Whether the OpenCL kernel forms no vectors of bytes, which TVM cannot print.
    pitched
        Positions of parameters that may be slices of wider tensors, see `Program.pitches`.
    in_place
        Positions of inputs whose memory the output may take: each element is read before the
        output's element of that place is written, and not after.
    facts
        Loops and tiles, from which times are predicted.
    """

    kind: str
    emit: Emit
    rows: TileGrid
    channels: TileGrid = TileGrid(1)
    flops: int = 0
    preferred_axis: str = "rows"
    axis_reason: str = "rows: each processor reads only its part of the activations"
    heads: int = 0
    packings: Mapping[int, Packing] = field(default_factory=dict)
    rows_inner: bool = True
    why_no_opencl: str = ""
    variant: str = "direct"
    space: Space = field(default_factory=Space)
    for_groups: ForGroups | None = None
    single_bytes: bool = False
    pitched: frozenset[int] = frozenset()
    in_place: frozenset[int] = frozenset()
    facts: KernelFacts = field(default_factory=KernelFacts)
