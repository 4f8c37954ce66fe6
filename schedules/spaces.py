"""Legal values of the parameters that register-tile kernels share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .choice import GROUP, Bound, Knob, Space, Value
from .facts import DeviceFacts

__all__ = ["PRODUCT_KNOBS", "tile_space"]

PRODUCT_KNOBS = ("rows", "columns", "depth", "items", "accumulators")
"""Parameters of a work-group that stages both operands of a product."""

_VECTORS = (1, 2, 3, 4, 8)
_LEAST_HEIGHT = 4
"""Lower tiles, where there are as many rows, load more than they compute."""
_UNROLL = (1, 2, 4)
_PREFETCH = (0, 1, 2)
_MOST_ROWS_OF_ONE_VECTOR = 24
_GROUP = {
    "rows": (0, 16, 32, 64, 128),
    "columns": (0, 16, 32, 64, 128),
    "depth": (0, 8, 16, 32),
    "items": (0, 64, 128, 256),
    "accumulators": (0, 16, 32, 64),
}
_NOT_OF_GROUPS = ("opencl.unroll", "opencl.prefetch")
"""Parameters that no kernel reads whose work-items share a tile."""


def tile_space(
    facts: DeviceFacts,
    *,
    rows: int,
    channels: int,
    height: int,
    width: int,
    per_unit: int | None = None,
    tiles: int = 1,
    unroll: bool = True,
    rows_inner: bool | None = None,
    ordered: bool = False,
    group: Sequence[str] = (),
    not_of_groups: Sequence[str] = (),
) -> Space:
    """Space of a kernel made of register tiles.

    Parameters
    ----------
    facts
        Register file that the accumulators must fit.
    rows, channels
        Extents that tiles cover.
    height, width
        Default tile.
    per_unit, tiles
        Default tiles per unit, None where a unit is not made of tiles; row tiles in all.
    unroll
        Whether the reduction can be unrolled.
    rows_inner
        Default order of tiles, None where there are no weights to prefetch.
    ordered
        Whether that order cannot be chosen.
    group
        Parameters of `GroupChoice` that the kernel for OpenCL class `gpu` reads; none without one.
    not_of_groups
        Shared parameters that it does not read.
    """
    vectors = max(1, width // facts.lanes)
    registers = max(facts.max_rows * facts.vectors, height * vectors)
    knobs = [Knob("height", _heights(rows, height, registers), height)]
    if channels >= facts.lanes:
        across = {v for v in _VECTORS if v * facts.lanes <= channels} | {vectors}
        knobs.append(Knob("vectors", tuple(sorted(across)), vectors))
    if per_unit is not None:
        knobs.append(Knob("per_unit", _units(tiles, per_unit), per_unit))
    for part in ("cpu", "opencl"):
        if unroll:
            knobs.append(Knob(f"{part}.unroll", _UNROLL, 1))
        if rows_inner is not None:
            knobs.append(Knob(f"{part}.prefetch", _PREFETCH, int(rows_inner)))
        if rows_inner is not None and not ordered:
            knobs.append(Knob(f"{part}.rows_inner", (False, True), rows_inner))
    idle = (*_NOT_OF_GROUPS, *not_of_groups)
    knobs = [replace(knob, of_groups=knob.name not in idle) for knob in knobs]
    knobs += [Knob(f"{GROUP}{name}", _GROUP[name], 0) for name in group]
    return Space(tuple(knobs), (Bound(("height", "vectors"), registers),))


def _heights(rows: int, default: int, registers: int) -> tuple[Value, ...]:
    """Heights that no lower one covers `rows` in as many tiles with."""
    most = min(rows, registers, _MOST_ROWS_OF_ONE_VECTOR)
    least = min(most, _LEAST_HEIGHT)
    found = {h for h in range(least, most + 1) if h == -(-rows // -(-rows // h))}
    return tuple(sorted(found | {default}))


def _units(tiles: int, default: int) -> tuple[Value, ...]:
    found = {2**power for power in range(6) if 2**power <= max(1, tiles // 4)}
    return tuple(sorted(found | {default}))
