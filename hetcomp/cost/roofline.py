"""The analytic estimate: padded arithmetic, traffic and element-wise operations, one by one.

Their sum rather than the largest: kernels overlap them in part only, and a sum has no edge that
models would have to learn (7.0 against 7.5% error on an Adreno 640, 4.4 against 4.7% on a 616).
Tiles count whole, padding and overlap included, because registers and lanes are busy with them.
Cost models learn how far this is off; where they have seen nothing alike, it stands in for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetcomp.cost.launches import Array, Launches

__all__ = ["Estimate", "ProcessorFacts", "estimate", "processor_facts"]

_HEAVY = 24.0
"""A division or function, in light operations: its vector code is about that long."""
_SCATTERED = 20.0
"""A read out of order, in light operations: element by element instead of a vector."""
_TRANSFORM = 5.0
"""Light operations per element that Winograd's transforms read and write."""
_DEPTHWISE = 3.0
"""Factor of depthwise kernels, which load a vector, mostly across lines, for each multiply-add."""
_IN_FLIGHT = 8.0
"""Multiply-adds that a core of two units with a latency of 4 cycles works at."""
_DEFAULTS = {"flops_per_us": 50_000.0, "bytes_per_us": 10_000.0, "near_bytes_per_us": 40_000.0}
"""One core of a current machine, where a profile has no peaks."""
_GROUP_US = {"cpu": 0.02, "gpu": 0.1}
"""A tile of a loop, and a work-group of an OpenCL driver that is a CPU."""
_L1_BYTES, _L2_BYTES = 32 << 10, 1 << 20


@dataclass(frozen=True)
class ProcessorFacts:
    """What estimates need to know of a processor.

    Attributes
    ----------
    flops_per_us, bytes_per_us, near_bytes_per_us
        Peaks: arithmetic, memory, and the second-level cache.
    l1_bytes, l2_bytes
        Sizes of its caches.
    compute_units
        Work-groups that run at once.
    wave
        Work-items that run in step.
    launch_us, group_us
        Of any kernel: call, loops and first misses; and of each work-group.
    """

    flops_per_us: float
    bytes_per_us: float
    near_bytes_per_us: float
    l1_bytes: int = _L1_BYTES
    l2_bytes: int = _L2_BYTES
    compute_units: int = 1
    wave: int = 1
    launch_us: float = 0.2
    group_us: float = 0.02


def processor_facts(
    processor: str, limits: Mapping[str, float], machine: Mapping[str, Any]
) -> ProcessorFacts:
    """Facts of `cpu` or `gpu` from what a `DeviceProfile` says, defaults where it says nothing."""
    peaks = {
        name: float(limits.get(f"{processor}.{name}", default))
        for name, default in _DEFAULTS.items()
    }
    caches = _caches(machine)
    units, wave = _width(machine) if processor == "gpu" else (1, 1)
    return ProcessorFacts(
        flops_per_us=peaks["flops_per_us"],
        bytes_per_us=peaks["bytes_per_us"],
        near_bytes_per_us=peaks["near_bytes_per_us"],
        l1_bytes=caches.get(1, _L1_BYTES),
        l2_bytes=caches.get(2, _L2_BYTES),
        compute_units=units,
        wave=wave,
        group_us=_GROUP_US[processor],
    )


def _caches(machine: Mapping[str, Any]) -> Mapping[int, int]:
    """Sizes of the CPU's caches by level; an OpenCL device does not report its own."""
    cpus = [device["cpu"] for device in machine.get("devices", ()) if device.get("cpu")]
    return {
        int(cache["level"]): int(cache["size_bytes"])
        for cpu in cpus
        for cache in cpu["caches"]
        if cache["kind"] != "instruction"
    }


def _width(machine: Mapping[str, Any]) -> tuple[int, int]:
    """Compute units and items in step of the first GPU.

    An OpenCL device that is a CPU keeps to one core, and its items follow each other.
    """
    devices = [device.get("opencl") or {} for device in machine.get("devices", ())]
    gpu = next((device for device in devices if device.get("kind") == "gpu"), {})
    return max(1, int(gpu.get("compute_units", 1))), max(1, int(gpu.get("sub_group", 1)))


@dataclass(frozen=True)
class Estimate:
    """Estimated times of n launches, and what they follow from; each of shape (n,).

    Attributes
    ----------
    compute_us, memory_us, epilogue_us
        Multiply-adds of padded tiles, traffic, and element-wise operations.
    groups, waves, item_outputs
        Work-groups, waves of work-items that run in step, and outputs that an item computes.
    padding
        Computed over wanted outputs.
    weight_bytes, input_bytes, output_bytes
        Touched once each.
    launch_us
        Of the launch and its work-groups.
    """

    compute_us: Array
    memory_us: Array
    epilogue_us: Array
    groups: Array
    waves: Array
    item_outputs: Array
    padding: Array
    weight_bytes: Array
    input_bytes: Array
    output_bytes: Array
    launch_us: Array

    @property
    def total_us(self) -> Array:
        """All of it."""
        total: Array = self.compute_us + self.memory_us + self.epilogue_us + self.launch_us
        return total


def estimate(launches: Launches, processor: ProcessorFacts) -> Estimate:
    """Estimate the times of `launches`."""
    share = launches.row_share * launches.channel_share
    groups = _tiles(launches.rows, launches.fact("group_rows")) * _tiles(
        launches.channels, launches.fact("group_channels")
    )
    items = np.maximum(1.0, launches.fact("items"))
    waves = groups * np.ceil(items / processor.wave)
    item_outputs = _item_outputs(launches, items)
    outputs = waves * processor.wave * item_outputs
    wanted = launches.fact("pixels") * launches.fact("columns") * share
    depth = launches.fact("depth") * launches.fact("map_taps") * launches.fact("groups")
    macs = outputs * depth * np.maximum(1.0, launches.fact("positions"))
    light = launches.fact("light_ops") + _HEAVY * launches.fact("heavy_ops")
    light = (light + _SCATTERED * launches.fact("scattered_reads")) * share
    weight_bytes = _touched_weights(launches) * launches.channel_share
    input_bytes = launches.fact("input_bytes") * launches.row_share
    output_bytes = launches.fact("output_bytes") * share
    moved = input_bytes + output_bytes
    stay = np.maximum(launches.fact("model_weight_bytes"), weight_bytes + moved)
    return Estimate(
        compute_us=2.0 * macs / processor.flops_per_us * _stalls(launches),
        memory_us=weight_bytes / _rate(stay, processor)
        + moved / _rate(weight_bytes + moved, processor),
        epilogue_us=2.0 * (light + _transforms(launches)) / processor.flops_per_us,
        groups=groups,
        waves=waves,
        item_outputs=item_outputs,
        padding=outputs / np.maximum(1.0, wanted),
        weight_bytes=weight_bytes,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        launch_us=processor.launch_us + processor.group_us * groups,
    )


def _touched_weights(launches: Launches) -> Array:
    """Bytes of constants that a task reads: without a product, not more than it writes, for then
    they are tables that it looks up."""
    all_bytes = launches.fact("weight_bytes")
    looked_up = np.minimum(all_bytes, launches.fact("output_bytes"))
    touched: Array = np.where(launches.fact("depth") > 0, all_bytes, looked_up)
    return touched


def _rate(size_bytes: Array, processor: ProcessorFacts) -> Array:
    """Bytes per microsecond of what has to stay in the second-level cache to come from there: all
    of it up to the cache's size, nothing from three times that."""
    near = np.clip((3.0 - size_bytes / processor.l2_bytes) / 2.0, 0.0, 1.0)
    slowness = near / processor.near_bytes_per_us + (1.0 - near) / processor.bytes_per_us
    rate: Array = 1.0 / slowness
    return rate


def _stalls(launches: Launches) -> Array:
    """Factor on the time of multiply-adds in register tiles of one item.

    A step of the reduction loads a row of weights and a value for each pixel, two in a cycle like
    multiply-adds, and tiles of few accumulators wait for their own results.
    """
    lanes = np.maximum(1.0, launches.fact("lanes"))
    across = np.maximum(1.0, launches.fact("tile_width") / lanes)
    down = np.maximum(1.0, launches.fact("tile_height"))
    products = across * down
    slowest = np.maximum(np.maximum(products, across + down), _IN_FLIGHT)
    matrix = np.where(launches.fact("depth") > 1, slowest / products, _DEPTHWISE)
    stalls: Array = np.where(launches.fact("items") <= 1, matrix, 1.0)
    return stalls


def _transforms(launches: Launches) -> Array:
    """Operations of Winograd's transforms: each launch transforms its rows' inputs anew."""
    tiles = launches.fact("positions") * launches.fact("pixels") * launches.row_share
    channels = launches.fact("depth") + launches.fact("columns") * launches.channel_share
    operations: Array = _TRANSFORM * tiles * channels
    return operations


def _item_outputs(launches: Launches, items: Array) -> Array:
    """Outputs that one work-item computes, its register tiles filled up."""
    height = np.maximum(1.0, launches.fact("tile_height"))
    width = np.maximum(1.0, launches.fact("tile_width"))
    down = np.ceil(launches.fact("row_pixels") / height) * height
    all_columns = np.ceil(launches.fact("columns") / width) * width
    across = np.where(launches.all_channels > 1, width, all_columns)
    group = np.maximum(1.0, launches.fact("group_rows")) * np.maximum(
        1.0, launches.fact("group_channels")
    )
    outputs: Array = down * across * group / items
    return outputs


def _tiles(extent: Array, size: Array) -> Array:
    tiles: Array = np.ceil(extent / np.maximum(1.0, size))
    return tiles
