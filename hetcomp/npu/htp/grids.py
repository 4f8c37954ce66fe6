"""Finds the grid of all bytes: scale and zero point, of which a region program knows ratios only.

The integers of a region are right under any grids whose ratios are those of its factors. So scales
are taken relative to each other, from a float that is made of them where there is one, else from
1; zero points where a layer names them, or where they follow from a sum's offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hetcomp.npu.refused import Refused

from .layers import Clip, Float, Layer, Linear, MaxPool, Requantise, WindowLayer, sources_of

__all__ = ["Grid", "GridSolver"]

_SAME = 1e-4
"""Relative difference below which two scales count as one: they were rounded to float32."""
_INTEGER = 0.02
"""Distance from an integer below which a sum of float32 numbers counts as one."""
_BYTE = range(256)
_FLOATS = ""
"""Name of what has scale 1 by definition."""


@dataclass(frozen=True)
class Grid:
    """Bytes stand for `scale * (byte - zero_point)`."""

    scale: float
    zero_point: int


@dataclass
class GridSolver:
    """Takes the layers of tasks in order; a task that contradicts those before it is refused."""

    _parents: dict[str, tuple[str, float]] = field(default_factory=dict)  # and the scale over its
    _zeros: dict[str, int] = field(default_factory=dict)
    _sums: list[Requantise] = field(default_factory=list)
    _equals: list[tuple[str, str]] = field(default_factory=list)

    def add(self, layers: Sequence[Layer]) -> None:
        """Take a task's layers.

        Raises
        ------
        Refused
            They contradict what is known; nothing of them is kept.
        """
        before = (dict(self._parents), dict(self._zeros), list(self._sums), list(self._equals))
        try:
            for layer in layers:
                self._add(layer)
            self._check(self._zeros)
        except Refused:
            self._parents, self._zeros, self._sums, self._equals = before
            raise

    def grids(self, names: Iterable[str]) -> dict[str, Grid]:
        """The grid of each of these bytes.

        Raises
        ------
        Refused
            There is none that fits all layers.
        """
        names = sorted(names)
        zeros = self._all_zeros(names)
        floats = self._root(_FLOATS)
        grids = {}
        for name in names:
            root, ratio = self._root(name)
            grids[name] = Grid(ratio / floats[1] if root == floats[0] else ratio, zeros[name])
        return grids

    def _add(self, layer: Layer) -> None:
        if isinstance(layer, WindowLayer):
            self._zero(layer.source, layer.source_zero)
            self._zero(layer.name, layer.zero_point)
        elif isinstance(layer, Linear):
            self._zero(layer.name, layer.zero_point)
        elif isinstance(layer, (Clip, MaxPool)):
            self._relate(layer.source, layer.name, 1.0)
            self._equals.append((layer.source, layer.name))
        elif isinstance(layer, Float):
            self._relate(layer.source, _FLOATS, layer.scale)
            self._zero(layer.source, layer.zero_point)
        else:
            for term in layer.terms:
                self._relate(term.source, layer.name, term.factor)
            if layer.zero_point is not None:
                self._zero(layer.name, layer.zero_point)
            self._sums.append(layer)

    def _zero(self, name: str, zero_point: int) -> None:
        if self._zeros.setdefault(name, zero_point) != zero_point:
            raise Refused(f"0 is {zero_point} to it and {self._zeros[name]} to another task")

    def _root(self, name: str) -> tuple[str, float]:
        """What stands for all bytes whose scales are related, and the scale over its."""
        parent, ratio = self._parents.setdefault(name, (name, 1.0))
        if parent == name:
            return name, ratio
        root, above = self._root(parent)
        self._parents[name] = (root, ratio * above)
        return self._parents[name]

    def _relate(self, name: str, other: str, ratio: float) -> None:
        """Scale of `name` over that of `other`."""
        root, scale = self._root(name)
        other_root, other_scale = self._root(other)
        if root != other_root:
            self._parents[root] = (other_root, ratio * other_scale / scale)
        elif abs(scale / other_scale - ratio) > _SAME * ratio:
            raise Refused("the scales of its operands contradict those of other tasks")

    def _all_zeros(self, names: Sequence[str]) -> dict[str, int]:
        """Zero points by name: known, derived, or 0 where any will do."""
        zeros = self._check(self._zeros)
        for name in names:
            if name not in zeros:
                zeros = self._chosen(name, zeros)
        return zeros

    def _chosen(self, name: str, zeros: dict[str, int]) -> dict[str, int]:
        """With the least zero point of these bytes that fits."""
        for zero in _BYTE:
            try:
                return self._check({**zeros, name: zero})
            except Refused as reason:
                last = reason
        raise last

    def _check(self, given: dict[str, int]) -> dict[str, int]:
        """What is given and follows from it; raises Refused where that is a contradiction."""
        zeros = dict(given)
        self._derive(zeros)
        for layer in self._sums:
            if {layer.name, *sources_of(layer)} <= zeros.keys():
                _check(layer, zeros)
        for one, other in self._equals:
            if zeros.get(one) != zeros.get(other):
                raise Refused(f"{one} and {other} have two zero points")
        return zeros

    def _derive(self, zeros: dict[str, int]) -> None:
        """Add what follows from what is known."""
        known = -1
        while known != len(zeros):
            known = len(zeros)
            for layer in self._sums:
                _derive_sum(layer, zeros)
            for one, other in (*self._equals, *((b, a) for a, b in self._equals)):
                if one in zeros:
                    zeros.setdefault(other, zeros[one])


def _derive_sum(layer: Requantise, zeros: dict[str, int]) -> None:
    """`zero of the sum = offset + sum(factor * zero of a term)`, where but one is not known."""
    names = [layer.name, *sources_of(layer)]
    unknown = {name for name in names if name not in zeros}
    if len(unknown) != 1 or names.count(*unknown) != 1:
        return
    (name,) = unknown
    rest = layer.offset + sum(
        term.factor * zeros[term.source] for term in layer.terms if term.source != name
    )
    if name == layer.name:
        zeros[name] = round(rest)
    else:
        (factor,) = (term.factor for term in layer.terms if term.source == name)
        zeros[name] = round((zeros[layer.name] - rest) / factor)


def _check(layer: Requantise, zeros: dict[str, int]) -> None:
    expected = layer.offset + sum(term.factor * zeros[term.source] for term in layer.terms)
    names = (layer.name, *sources_of(layer))
    within = all(zeros[name] in _BYTE for name in names)
    if not within or abs(expected - zeros[layer.name]) > _INTEGER:
        raise Refused(f"no zero points fit the sum {layer.name}")
