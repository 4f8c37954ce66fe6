"""Operators of phones' GPUs under TensorFlow Lite's delegate, described as kernel launches.

Holds the cost models against devices that are not here: the delegate's kernels are described by
the same facts as ours, the published times of its operators are samples like ours. A work-item
computes a block of pixels and of slices of four channels; the block grows with the number of waves
that the device gets, and a work-group takes as many slices as divide theirs.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hetcomp.cost.profile import KernelSample
from hetcomp.cost.roofline import ProcessorFacts
from hetcomp.cost.work import KernelWork
from hetcomp.errors import InputError

__all__ = ["PHONES", "Phone", "phone_samples"]

_SLICE = 4
"""Channels that a vector of the delegate holds."""
_ITEM_BYTES = 2
_CONSTANT_BYTES = 3584
"""Weights up to this lie in constant memory, if an item can hold all output channels."""
_CONSTANT_SLICES = 8
_GROUP_ITEMS = 256
_MOST_DEEP = 64
_DENSE_SLICES, _DENSE_PARTS = 32, 4
"""A work-group of a fully connected layer: slices, and items that share the sum of each."""
_BLOCKS = ((6.0, (1, 1, 1)), (12.0, (2, 1, 1)), (24.0, (2, 1, 2)), (float("inf"), (2, 2, 2)))
"""Width, height and slices of an item's block by waves per compute unit up to."""
_FAMILIES = {
    "CONV_2D": "conv2d",
    "DEPTHWISE_CONV_2D": "depthwise",
    "FULLY_CONNECTED": "linear",
}


@dataclass(frozen=True)
class Phone:
    """A phone's GPU: its columns in the table, and its facts."""

    name: str
    column: str
    facts: ProcessorFacts


def _adreno(gflops: float, units: int) -> ProcessorFacts:
    """An Adreno 6xx GPU; `gflops` is what dense convolutions reach."""
    return ProcessorFacts(
        flops_per_us=1000.0 * gflops,
        bytes_per_us=10_000.0,
        near_bytes_per_us=30_000.0,
        l1_bytes=1 << 10,
        l2_bytes=128 << 10,
        compute_units=units,
        wave=64,
        launch_us=2.0,
        group_us=0.0,
    )


PHONES = (
    Phone("Adreno 640", "pixel4", _adreno(300.0, 2)),
    Phone("Adreno 616", "mi8se", _adreno(83.0, 1)),
)
"""The phones of the table."""


def phone_samples(path: Path, phone: Phone) -> tuple[KernelSample, ...]:
    """The operators that `phone` ran.

    Parameters
    ----------
    path
        CSV with a line per operator: `operation`, `input_shape`, `input_channel`, `output_shape`,
        `stride`, `kernel`, `filter`, and for each phone the time in microseconds and the kernel.

    Raises
    ------
    InputError
        The file cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(_sample(row, phone) for row in csv.DictReader(file))
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error


def _sample(row: Mapping[str, str], phone: Phone) -> KernelSample:
    layer = _layer(row, row[f"{phone.column}_kernel"])
    sizes = (layer.size, layer.inputs, layer.out, layer.stride, layer.window, layer.outputs)
    group = f"{layer.family} {sizes}"
    return KernelSample(_work(layer, phone.facts), (float(row[f"{phone.column}_us"]),), group)


@dataclass(frozen=True)
class _Layer:
    """An operator: sizes of maps and window (pixels), channels, fused operators."""

    family: str
    variant: str
    size: int
    inputs: int
    out: int
    stride: int
    window: int
    outputs: int
    fused: tuple[str, ...]

    @property
    def taps(self) -> int:
        return self.window * self.window

    @property
    def depth(self) -> int:
        return 1 if self.family == "depthwise" else self.inputs


def _layer(row: Mapping[str, str], kernel: str) -> _Layer:
    family = _FAMILIES[row["operation"]]
    own, *linked = kernel.split("_linked_:_")
    inputs = int(row["input_channel"])
    outputs = inputs if family == "depthwise" else int(row["filter"])
    dense = family == "linear"
    layer = _Layer(
        family=family,
        variant=own.rpartition("_")[0],
        size=1 if dense else int(row["input_shape"]),
        inputs=inputs,
        out=1 if dense else int(row["output_shape"]),
        stride=1 if dense else int(row["stride"]),
        window=1 if dense else int(row["kernel"]),
        outputs=outputs,
        fused=tuple(name.rpartition("_")[0] for name in linked),
    )
    return _in_constants(layer)


def _in_constants(layer: _Layer) -> _Layer:
    """`layer`, by the kernel for weights in constant memory where those fit."""
    slices = _slices(layer.outputs)
    size = _ITEM_BYTES * _SLICE * slices * layer.inputs * layer.taps
    if layer.variant != "convolution_2d" or size > _CONSTANT_BYTES or slices > _CONSTANT_SLICES:
        return layer
    return replace(layer, variant="constants")


def _slices(channels: int) -> int:
    return -(-channels // _SLICE)


@dataclass(frozen=True)
class _Grid:
    """An item's block, items of the launch, and items of a work-group, in three directions."""

    block: tuple[int, int, int]
    items: tuple[int, int, int]
    group: tuple[int, int, int]

    @property
    def rows(self) -> int:
        """Items down and across the map, groups filled up."""
        return self._filled(0) * self._filled(1)

    def _filled(self, axis: int) -> int:
        return -(-self.items[axis] // self.group[axis]) * self.group[axis]


def _grid(layer: _Layer, facts: ProcessorFacts) -> _Grid:
    slices = _slices(layer.outputs)
    if layer.variant == "constants":
        block = (1, 1, slices)
    elif layer.variant == "convolution_2d":
        waves = layer.out * layer.out * slices / facts.compute_units / facts.wave
        block = next(block for most, block in _BLOCKS if waves <= most)
    else:
        block = (1, 1, 1)
    across, down = -(-layer.out // block[0]), -(-layer.out // block[1])
    items = (across, down, -(-slices // block[2]))
    return _Grid(block, items, _group(items, layer.variant))


def _group(items: tuple[int, int, int], variant: str) -> tuple[int, int, int]:
    """Items of a work-group: as deep as divides the slices, then as wide as there is room."""
    across, down, deep = items
    if variant == "fully_connected":
        return 1, 1, _DENSE_SLICES
    if variant == "convolution_2d":
        z = next(size for size in range(min(deep, _MOST_DEEP), 0, -1) if deep % size == 0)
        x = min(across, _GROUP_ITEMS // z)
        y = min(_GROUP_ITEMS // z // x, down)
        return x, (down // 2 if y == down and down % 2 == 0 else y), z
    z = next(size for size in (8, 4, 2, 7, 6, 5, 3, 1) if deep % size == 0)
    x = min(-(-across // 2), _GROUP_ITEMS // z)
    return x, min(_GROUP_ITEMS // z // x, down), z


def _work(layer: _Layer, facts: ProcessorFacts) -> KernelWork:
    grid = _grid(layer, facts)
    across, down, deep = grid.block
    pixels = layer.out * layer.out
    outputs = pixels * layer.outputs
    adds = sum(name == "add" for name in layer.fused)
    weights = layer.outputs * layer.depth * layer.taps
    parts = _DENSE_PARTS if layer.variant == "fully_connected" else 1
    named: dict[str, float] = {
        "pixels": pixels,
        "columns": layer.outputs,
        "depth": layer.depth,
        "taps": layer.taps,
        "map_taps": layer.taps,
        "tile_height": across * down,
        "tile_width": _SLICE * deep,
        "row_pixels": across * down,
        "lanes": _SLICE,
        "stride": layer.stride,
        "dilation": 1,
        "groups": 1,
        "step": 1,
        "item_bytes": _ITEM_BYTES,
        "stages": len(layer.fused),
        "light_ops": outputs * len(layer.fused),
        "flops": 2 * outputs * layer.depth * layer.taps,
        "weight_bytes": _ITEM_BYTES * weights,
        "input_bytes": _ITEM_BYTES * (layer.size**2 * layer.inputs + adds * outputs),
        "output_bytes": _ITEM_BYTES * outputs,
        "items": parts * grid.group[0] * grid.group[1] * grid.group[2],
        "group_rows": grid.group[0] * grid.group[1],
        "group_channels": grid.group[2],
    }
    rows, channels = grid.rows, grid.items[2]
    return KernelWork(layer.family, layer.variant, "gpu", rows, channels, rows, channels, named)
