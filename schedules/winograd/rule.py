"""When Winograd pays, and with which tile: the least predicted work, in multiply-adds.

Measured on all 3x3 convolutions of the model zoo, one core with AVX-512: the largest tile wins on
maps from 20x20 up, F(4x2) at 13x13 and 14x14, F(2x2) on 8x8, and the direct method on 7x7, where
Winograd's larger weights are most of the time. The prediction finds these by itself.
"""

from __future__ import annotations

from ..choice import Choice
from ..facts import DeviceFacts
from ..program import Program, Stage
from .schedule import TILES, Tile, winograd_shape
from .shape import WinogradShape
from .transform import TAPS

__all__ = ["best_tile"]

_TRANSFORM = 12
"""Multiply-adds in whose time one element is transformed, of the input or of the output (fitted;
dominates below some 16 channels)."""
_PER_WEIGHT_BYTE = 7.0
"""Multiply-adds in whose time a byte of weights arrives from beyond the second-level cache, with
vectors of 16 (14 GB/s against 100 G multiply-adds/s)."""
_LANES = 16
"""The vectors for which that was measured; narrower ones compute less meanwhile."""
_LEAST_GAIN = 1.1
"""Below this predicted speed-up the direct method is kept, as it is the more accurate."""
_BYTES = 4


def best_tile(
    program: Program, anchor: Stage, constants: frozenset[int], facts: DeviceFacts
) -> Tile | None:
    """The tile to take for a convolution; None where the direct method is to be taken."""
    costs = {}
    for tile in TILES:
        shape = winograd_shape(program, anchor, constants, facts, Choice(), tile)
        if shape is not None:
            costs[tile] = _winograd_cost(shape, facts)
            direct = _direct_cost(shape, facts)
    if not costs:
        return None
    best = min(costs, key=lambda tile: costs[tile])
    return best if costs[best] * _LEAST_GAIN < direct else None


def _winograd_cost(shape: WinogradShape, facts: DeviceFacts) -> float:
    """Blocks read all weights each; reading goes on beside the arithmetic."""
    ins, outs = shape.in_channels, shape.columns.channels
    computed = shape.positions * shape.tiles * (ins * outs + _TRANSFORM * (ins + outs))
    weights = shape.blocks * shape.positions * ins * outs
    return max(computed, _arrival(weights, facts))


def _direct_cost(shape: WinogradShape, facts: DeviceFacts) -> float:
    w = shape.window
    weights = TAPS * TAPS * shape.in_channels * shape.columns.channels
    return max(w.batch * w.out_height * w.out_width * weights, _arrival(weights, facts))


def _arrival(weights: int, facts: DeviceFacts) -> float:
    return _BYTES * weights * _PER_WEIGHT_BYTE * facts.lanes / _LANES
