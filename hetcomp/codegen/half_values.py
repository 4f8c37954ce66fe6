"""Which values of a fused module lie in memory in 16 bits: all that stay between its tasks.

Inputs and outputs of the model keep their types, and so does what a task reads or writes that has
no kernel of ours. Values that share memory (reshapes, parts of a concatenation) share the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .views import Slice, is_call_tir, variables_of

__all__ = ["half_values"]


def half_values(
    main: Any, slices: Mapping[Any, Slice], is_opaque: Callable[[Any], bool]
) -> frozenset[Any]:
    """Variables of `main` to keep in 16 bits where they are float32.

    Parameters
    ----------
    slices
        Parts of concatenations that are placed there from the start.
    is_opaque
        Whether a `call_tir` runs as TVM made it.
    """
    shared = _Shared()
    for part, place in slices.items():
        shared.join(part, place.whole)
    shared.keep(*main.params)
    for block in main.body.blocks:
        for binding in block.bindings:
            var, value = binding.var, binding.value
            if not is_call_tir(value):
                shared.join(var, *variables_of(value))
            elif is_opaque(value):
                shared.keep(var, *variables_of(value))
            else:
                shared.join(var)
    shared.keep(*variables_of(main.body.body))
    return shared.others()


class _Shared:
    """Sets of variables in the same memory; a set may be marked as one to keep."""

    def __init__(self) -> None:
        self._parent: dict[Any, Any] = {}
        self._kept: list[Any] = []

    def join(self, first: Any, *others: Any) -> None:
        """All of these share memory."""
        for other in others:
            self._parent[self._root(other)] = self._root(first)
        self._root(first)

    def keep(self, *variables: Any) -> None:
        """What shares memory with one of these keeps its type."""
        self._kept.extend(variables)

    def others(self) -> frozenset[Any]:
        """Variables whose set holds none to keep."""
        kept = {self._root(var) for var in self._kept}
        return frozenset(var for var in list(self._parent) if self._root(var) not in kept)

    def _root(self, var: Any) -> Any:
        parent = self._parent.setdefault(var, var)
        if parent.same_as(var):
            return var
        root = self._parent[var] = self._root(parent)
        return root
