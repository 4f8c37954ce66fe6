"""Choose the method of a convolution: Winograd's where it pays, else the direct one."""

from __future__ import annotations

from dataclasses import replace

from ..choice import Choice, Knob, Space
from ..facts import DeviceFacts
from ..program import Program, Stage
from ..scheduled import Scheduled
from ..winograd.rule import best_tile
from ..winograd.schedule import TILES, winograd
from .conv2d import conv2d

__all__ = ["convolution"]


def convolution(
    program: Program, anchor: Stage, constants: frozenset[int], facts: DeviceFacts, choice: Choice
) -> Scheduled | None:
    """A convolution with constant weights by `choice.algorithm`; None where they are not constant.

    Where no algorithm is chosen, `winograd.rule` does it. The space is that of the method taken,
    and the methods.
    """
    direct = conv2d(program, anchor, constants, facts, choice)
    if direct is None:
        return None
    others = [winograd(program, anchor, constants, facts, choice, tile) for tile in TILES]
    methods = {direct.variant: direct} | {o.variant: o for o in others if o is not None}
    if len(methods) == 1:
        return direct
    tile = best_tile(program, anchor, constants, facts)
    default = direct.variant if tile is None else tile.variant
    method = methods.get(choice.algorithm or default, direct)
    algorithm = Knob("algorithm", tuple(methods), default)
    return replace(method, space=Space((algorithm, *method.space.knobs), method.space.bounds))
