"""Features of launches for the cost models. Change the list, and raise the version.

Sizes enter as logarithms: times are products of sizes, and trees then cut at ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hetcomp.cost.instruction_times import instruction_times
from hetcomp.cost.launches import Array, Launches
from hetcomp.cost.roofline import Estimate, ProcessorFacts, estimate

__all__ = ["FEATURES", "FEATURES_VERSION", "SCALES", "Features", "features"]

FEATURES_VERSION = 2
_PAGE = 4096

SCALES = ("compute", "traffic", "pixels", "columns", "depth")
"""Features of scale: outside their sampled range models must not be trusted."""

FEATURES = (
    *SCALES,
    *("estimate", "memory", "epilogue", "bound"),
    *("taps", "map_share", "stride", "dilation", "groups"),
    *("tile_height", "tile_width", "row_pixels", "lanes", "padding"),
    *("pixel_remainder", "column_remainder", "lane_remainder", "depth_remainder", "pitch"),
    *("rows", "channels", "row_share", "channel_share"),
    *(
        "work_groups",
        "items",
        "waves_per_unit",
        "last_wave",
        "wave_fill",
        "group_channels",
        "item_work",
    ),
    *("weights_in_l2", "traffic_in_l2", "panel_in_l1", "inputs_in_l1", "row_in_l2"),
    *("weight_bytes", "input_bytes", "output_bytes", "weight_passes", "model_in_l2"),
    *("stages", "light_ops", "heavy_ops", "scattered", "extra_input"),
    *("variant", "positions", "step", "item_bytes", "strided_input", "rows_inner"),
    *("instructions", "arithmetic", "loads", "stores", "loops", "instructions_bound"),
    *("op_share", "heavy_share", "load_share", "broadcast_share", "gather_share"),
    *("store_share", "scatter_share", "scalar_share", "crossing_share", "loop_length"),
    *("index_share", "gather_step", "gather_alias"),
)
"""Names of the features, in order."""


@dataclass(frozen=True)
class Features:
    """Features and analytic estimates of n launches.

    Attributes
    ----------
    values
        Shape (n, len(FEATURES)), float32.
    estimates_us
        Shape (n,).
    """

    values: Array
    estimates_us: Array


def features(
    launches: Launches, processor: ProcessorFacts, variants: Sequence[str] = ()
) -> Features:
    """Compute the features of `launches` on `processor`.

    `variants` numbers the algorithms; those not in it are -1.
    """
    found = estimate(launches, processor)
    columns = {
        **_scale(launches, found),
        **_shape(launches),
        **_tiles(launches, found),
        **_groups(launches, processor, found),
        **_memory(launches, processor, found),
        **_rest(launches, variants),
        **_instructions(launches, processor, found),
    }
    values = np.stack([columns[name] for name in FEATURES], axis=1).astype(np.float32)
    return Features(values, found.total_us)


Columns = dict[str, Array]


def _log(values: Array) -> Array:
    logarithm: Array = np.log2(1.0 + values)
    return logarithm


def _scale(launches: Launches, found: Estimate) -> Columns:
    traffic = found.weight_bytes + found.input_bytes + found.output_bytes
    return {
        "compute": np.log2(0.01 + found.compute_us),
        "traffic": _log(traffic),
        "pixels": _log(launches.fact("pixels") * launches.row_share),
        "columns": _log(launches.fact("columns") * launches.channel_share),
        "depth": _log(launches.fact("depth")),
        "estimate": np.log2(found.total_us),
        "memory": np.log2(0.01 + found.memory_us),
        "epilogue": np.log2(0.01 + found.epilogue_us),
        "bound": np.log2((0.01 + found.compute_us) / (0.01 + found.memory_us)),
    }


def _shape(launches: Launches) -> Columns:
    taps = launches.fact("taps")
    return {
        "taps": taps,
        "map_share": launches.fact("map_taps") / np.maximum(1.0, taps),
        "stride": launches.fact("stride"),
        "dilation": launches.fact("dilation"),
        "groups": _log(launches.fact("groups")),
    }


def _tiles(launches: Launches, found: Estimate) -> Columns:
    height, width = launches.fact("tile_height"), launches.fact("tile_width")
    lanes = np.maximum(1.0, launches.fact("lanes"))
    return {
        "tile_height": height,
        "tile_width": width,
        "row_pixels": _log(launches.fact("row_pixels")),
        "lanes": lanes,
        "padding": found.padding,
        "pixel_remainder": _remainder(launches.fact("row_pixels"), height),
        "column_remainder": _remainder(launches.fact("columns"), np.maximum(width, lanes)),
        "lane_remainder": _remainder(launches.fact("columns"), lanes),
        "depth_remainder": _remainder(launches.fact("depth"), lanes),
        "pitch": _power_of_two(launches.fact("depth") * launches.fact("item_bytes")),
        "rows": _log(launches.rows),
        "channels": _log(launches.channels),
        "row_share": launches.row_share,
        "channel_share": launches.channel_share,
    }


def _remainder(extent: Array, size: Array) -> Array:
    """What is left behind whole tiles, as a part of a tile."""
    size = np.maximum(1.0, size)
    left: Array = np.mod(extent, size) / size
    return left


def _power_of_two(size: Array) -> Array:
    """Exponent of the largest power of two that divides a pitch, at most a page: rows so far
    apart share few sets of a cache."""
    whole = np.maximum(1, size).astype(np.int64)
    exponent: Array = np.log2(np.minimum(whole & -whole, _PAGE))
    return exponent


def _groups(launches: Launches, processor: ProcessorFacts, found: Estimate) -> Columns:
    items = np.maximum(1.0, launches.fact("items"))
    per_unit = found.groups / processor.compute_units
    return {
        "work_groups": _log(found.groups),
        "items": items,
        "waves_per_unit": _log(found.waves / processor.compute_units),
        "last_wave": np.ceil(per_unit) / np.maximum(per_unit, 1e-9),
        "wave_fill": items / (np.ceil(items / processor.wave) * processor.wave),
        "group_channels": launches.fact("group_channels"),
        "item_work": _log(found.item_outputs * launches.fact("taps") * launches.fact("depth")),
    }


def _memory(launches: Launches, processor: ProcessorFacts, found: Estimate) -> Columns:
    item = launches.fact("item_bytes")
    steps = launches.fact("taps") * launches.fact("depth") * launches.fact("step") * item
    panel = steps * launches.fact("tile_width")
    row = found.input_bytes / np.maximum(1.0, launches.rows)
    traffic = found.weight_bytes + found.input_bytes + found.output_bytes
    streamed = (launches.fact("rows_inner") > 0) | (found.weight_bytes <= processor.l2_bytes)
    return {
        "weights_in_l2": np.log2((1.0 + found.weight_bytes) / processor.l2_bytes),
        "traffic_in_l2": np.log2((1.0 + traffic) / processor.l2_bytes),
        "panel_in_l1": np.log2((1.0 + panel) / processor.l1_bytes),
        "inputs_in_l1": np.log2((1.0 + steps * launches.fact("tile_height")) / processor.l1_bytes),
        "row_in_l2": np.log2((1.0 + row) / processor.l2_bytes),
        "weight_bytes": _log(found.weight_bytes),
        "input_bytes": _log(found.input_bytes),
        "output_bytes": _log(found.output_bytes),
        "model_in_l2": np.log2((1.0 + launches.fact("model_weight_bytes")) / processor.l2_bytes),
        "weight_passes": np.where(streamed, 0.0, _log(launches.rows)),
    }


def _instructions(launches: Launches, processor: ProcessorFacts, found: Estimate) -> Columns:
    """Times of each kind of instruction by itself, and the kinds' parts of all of them."""
    time = instruction_times(launches, processor)
    return {
        "instructions": np.log2(0.01 + time.total_us),
        "arithmetic": np.log2(0.01 + time.arithmetic_us),
        "loads": np.log2(0.01 + time.load_us),
        "stores": np.log2(0.01 + time.store_us),
        "loops": np.log2(0.01 + time.loop_us),
        "instructions_bound": np.log2((0.01 + time.total_us) / (0.01 + found.memory_us)),
        **_shares(launches),
    }


def _shares(launches: Launches) -> Columns:
    scalar = sum((launches.fact(f"scalar_{kind}") for kind in _SCALAR), np.zeros(len(launches)))
    kinds = {
        "op_share": launches.fact("vector_ops"),
        "heavy_share": launches.fact("vector_heavy"),
        "load_share": launches.fact("vector_loads"),
        "broadcast_share": launches.fact("broadcasts"),
        "gather_share": launches.fact("gathered"),
        "store_share": launches.fact("vector_stores"),
        "scatter_share": launches.fact("scattered"),
        "scalar_share": scalar,
    }
    total = np.maximum(1.0, sum(kinds.values(), np.zeros(len(launches))))
    moved = np.maximum(1.0, launches.fact("gathered") + launches.fact("scattered"))
    touched = np.maximum(1.0, launches.fact("vector_loads") + launches.fact("vector_stores"))
    return {
        **{name: count / total for name, count in kinds.items()},
        "crossing_share": launches.fact("crossings") / touched,
        "index_share": launches.fact("index_ops") / total,
        "gather_step": _log(launches.fact("gather_bytes") / moved),
        "gather_alias": _log(launches.fact("gather_alias") / moved),
        "loop_length": _log(total / np.maximum(1.0, launches.fact("iterations"))),
    }


_SCALAR = ("ops", "heavy", "loads", "stores")


def _rest(launches: Launches, variants: Sequence[str]) -> Columns:
    outputs = np.maximum(1.0, launches.fact("output_bytes") / 4.0)
    numbers = {variant: number for number, variant in enumerate(variants)}
    own = launches.fact("pixels") * launches.fact("depth") * launches.fact("item_bytes")
    return {
        "stages": launches.fact("stages"),
        "light_ops": launches.fact("light_ops") / outputs,
        "heavy_ops": launches.fact("heavy_ops") / outputs,
        "scattered": launches.fact("scattered_reads") / outputs,
        "extra_input": np.log2((1.0 + launches.fact("input_bytes")) / (1.0 + own)),
        "variant": np.array([numbers.get(name, -1) for name in launches.variants], np.float64),
        "positions": launches.fact("positions"),
        "step": launches.fact("step"),
        "item_bytes": launches.fact("item_bytes"),
        "strided_input": launches.fact("strided_input"),
        "rows_inner": launches.fact("rows_inner"),
    }
