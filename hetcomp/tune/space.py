"""Points of a space: drawing, changing one parameter, naming each choice one way only."""

from __future__ import annotations

import random
from collections.abc import Mapping

from hetcomp.schedules.choice import Choice, Space, Value

__all__ = ["choice_of", "draw", "mutate"]

_ATTEMPTS = 50
"""Draws after which a space whose bounds leave next to nothing is given up."""


def draw(space: Space, rng: random.Random) -> dict[str, Value]:
    """A legal point, every parameter given; the default where chance finds none."""
    for _ in range(_ATTEMPTS):
        values = {knob.name: rng.choice(knob.values) for knob in space.knobs}
        if not space.why_not(values):
            return values
    return {k.name: k.default if k.default in k.values else k.values[0] for k in space.knobs}


def mutate(space: Space, values: Mapping[str, Value], rng: random.Random) -> dict[str, Value]:
    """A legal point that differs from `values` in one parameter; a new draw where none does."""
    movable = [knob for knob in space.knobs if len(knob.values) > 1]
    for _ in range(_ATTEMPTS if movable else 0):
        knob = rng.choice(movable)
        other = rng.choice([value for value in knob.values if value != values[knob.name]])
        changed = {**values, knob.name: other}
        if not space.why_not(changed):
            return changed
    return draw(space, rng)


def choice_of(space: Space, values: Mapping[str, Value]) -> Choice:
    """The choice at `values`; what equals the default is left out, so that each has one form."""
    defaults = space.defaults()
    return Choice().with_values(
        {name: value for name, value in values.items() if value != defaults[name]}
    )
