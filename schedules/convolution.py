"""Choose the method of a convolution: Winograd's where it pays, else the direct one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .choice import Choice, Knob, Space
from .conv2d import conv2d
from .facts import DeviceFacts
from .program import Program, Stage
from .scheduled import Scheduled
from .winograd import TILES, winograd
from .winograd_rule import best_tile

__all__ = ["convolution"]


def convolution(
    program: Program, anchor: Stage, constants: frozenset[int], facts: DeviceFacts, choice: Choice
) -> Scheduled | None:
    """A convolution with constant weights by `choice.algorithm`; None where they are not constant.

    Where no algorithm is chosen, `winograd_rule` does it.
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
    space = _space({name: method.space for name, method in methods.items()}, default)
    return replace(methods.get(choice.algorithm or default, direct), space=space)


def _space(spaces: Mapping[str, Space], default: str) -> Space:
    """The methods, and the parameters of all; values that a method has not are as near as it can.

    Defaults are those of the method `default`.
    """
    knobs = {knob.name: knob for knob in spaces[default].knobs}
    for space in spaces.values():
        for knob in space.knobs:
            own = knobs.setdefault(knob.name, knob)
            values = tuple(sorted({*own.values, *knob.values}))
            knobs[knob.name] = replace(own, values=values)
    algorithm = Knob("algorithm", tuple(spaces), default)
    return Space((algorithm, *knobs.values()), spaces[default].bounds)
