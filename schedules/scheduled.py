"""What a schedule rule hands back: kernels for each processor, tile grids, weight packing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm import tirx

from .choice import Space
from .facts import DeviceFacts

__all__ = ["Emit", "Packing", "Scheduled", "TileGrid"]

Emit = Callable[[str, DeviceFacts], tirx.PrimFunc]
"""Emits the kernel under a symbol for a device."""


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
        Family: `conv2d`, `depthwise`, `linear`, `matmul`, `rowwise`, `opaque`.
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
