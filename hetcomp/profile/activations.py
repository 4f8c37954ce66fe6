"""Functions that follow a layer, as networks have them."""

from __future__ import annotations

import math
from collections.abc import Callable

from hetcomp.profile.writer import GraphWriter

__all__ = ["FUNCTIONS", "activate"]


def _relu(g: GraphWriter, x: str) -> str:
    return g.op("Relu", x)


def _relu6(g: GraphWriter, x: str) -> str:
    return g.op("Clip", x, g.scalar(0.0), g.scalar(6.0))


def _silu(g: GraphWriter, x: str) -> str:
    return g.op("Mul", x, g.op("Sigmoid", x))


def _hard_swish(g: GraphWriter, x: str) -> str:
    return g.op("HardSwish", x)


def _gelu(g: GraphWriter, x: str) -> str:
    error = g.op("Erf", g.op("Mul", x, g.scalar(1.0 / math.sqrt(2.0))))
    half = g.op("Mul", x, g.scalar(0.5))
    return g.op("Mul", half, g.op("Add", error, g.scalar(1.0)))


FUNCTIONS: tuple[Callable[[GraphWriter, str], str] | None, ...] = (
    None,
    _relu,
    _relu6,
    _silu,
    _hard_swish,
    _gelu,
)
"""By the number that a layer keeps; the first is none."""


def activate(g: GraphWriter, x: str, number: int) -> str:
    """`x` after function `number`."""
    function = FUNCTIONS[number]
    return x if function is None else function(g, x)
