"""How far apart the elements lie that neighbouring lanes and iterations touch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tvm_ffi
from tvm import tirx
from tvm.ir.expr import TensorLoad

__all__ = ["LINE_BYTES", "Place", "place_of"]

LINE_BYTES = 64
"""Of a cache line."""


class Place:
    """An index as a sum of constants times atoms: variables, and what is not linear in them.

    Parameters
    ----------
    index
        Of one element, or of the first of a vector.
    defined
        Expressions that stand behind variables and buffers of one integer.
    """

    def __init__(self, index: Any, defined: Mapping[Any, Any]) -> None:
        self._defined = defined
        self._terms: dict[Any, int] = {}
        self._constant = 0
        self._add(index, 1)

    def stride(self, lane: Any) -> int | None:
        """Elements between the places of two neighbouring lanes; None where it is no constant."""
        for atom in self._terms:
            if type(atom) is not tirx.Var and _uses(atom, lane):
                return None
        return self._terms.get(lane, 0)

    @property
    def stepless(self) -> int:
        """Atoms that are no variables: divisions and bounds, to be computed for each access."""
        return sum(type(atom) is not tirx.Var for atom in self._terms)

    def alignment(self, lane: Any, item_bytes: int) -> int:
        """Bytes, at most a line's, that divide the address of the first lane wherever it lies."""
        steps = [step for atom, step in self._terms.items() if lane is None or atom != lane]
        return math.gcd(LINE_BYTES, *(item_bytes * step for step in (self._constant, *steps)))

    def _add(self, expr: Any, factor: int) -> None:
        kind = type(expr)
        if kind is tirx.IntImm:
            self._constant += factor * int(expr.value)
        elif kind is tirx.Cast:
            self._add(expr.value, factor)
        elif kind in (tirx.Add, tirx.Sub):
            self._add(expr.a, factor)
            self._add(expr.b, factor if kind is tirx.Add else -factor)
        elif kind is tirx.Mul and type(expr.b) is tirx.IntImm:
            self._add(expr.a, factor * int(expr.b.value))
        elif kind is tirx.Mul and type(expr.a) is tirx.IntImm:
            self._add(expr.b, factor * int(expr.a.value))
        else:
            self._add_atom(expr, factor)

    def _add_atom(self, expr: Any, factor: int) -> None:
        known = self._defined.get(expr.source if type(expr) is TensorLoad else expr)
        if known is not None:
            self._add(known, factor)
        else:
            self._terms[expr] = self._terms.get(expr, 0) + factor


def place_of(index: Any, defined: Mapping[Any, Any]) -> Place:
    """The place of an index, which may be a ramp."""
    return Place(index.base if type(index) is tirx.Ramp else index, defined)


def _uses(expr: Any, var: Any) -> bool:
    found: list[Any] = []
    tvm_ffi.structural_walk(expr, (tirx.Var, found.append))
    return any(item.same_as(var) for item in found)
