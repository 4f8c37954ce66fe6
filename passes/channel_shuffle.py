"""Channel shuffles: parts that are concatenated, shuffled and split again, in one step.

ShuffleNet deals out the channels of two tensors in turn, and gives each half to a branch. As a
concatenation, two reshapes round a transpose and a split that is three copies; here each result
takes its channels from the parts themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax, te, tirx

from .quantized_values import call_name
from .relax_values import dims_of_expr, dtype_of
from .rewrite import rewrite_functions

__all__ = ["INTERLEAVE", "InterleaveChannels"]

INTERLEAVE = "hetcomp.interleave"
"""Block annotation: the first channel of all that are dealt out in turn."""

_FLOATS = ("float32", "float16")
_OPAQUE = 8
_SWAPPED = [0, 1, 2, 4, 3]


@tvm.transform.module_pass(opt_level=0, name="InterleaveChannels")
@dataclass(frozen=True)
class InterleaveChannels:
    """`shuffle(concat(parts))` of NHWC channels, and splits of it, to annotated TIR calls."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass; runs where transposes have been sunk."""
        return relax.transform.DeadCodeElimination()(rewrite_functions(mod, _Shuffler(mod)))


@relax.expr_functor.mutator
class _Shuffler(relax.PyExprMutator):  # type: ignore[misc]
    def __init__(self, mod: Any) -> None:
        super().__init__(mod)
        self._parts: dict[Any, Sequence[Any]] = {}

    def visit_call_(self, call: Any) -> Any:
        """Replace the reshape that ends a shuffle."""
        call = self.builder_.normalize(self.visit_expr_post_order(call))
        parts = self._shuffled(call) if call_name(call) == "relax.reshape" else None
        if parts is None:
            return call
        whole = self.builder_.emit(self._interleaved(parts, 0, sum(map(_channels, parts))))
        self._parts[whole] = parts
        return whole

    def visit_tuple_getitem_(self, item: Any) -> Any:
        """Replace a part of what is split behind a shuffle."""
        item = self.visit_expr_post_order(item)
        split = self._lookup(item.tuple_value)
        if call_name(split) != "relax.split":
            return item
        parts = self._parts.get(self._renamed(split.args[0]))
        rank, cuts = len(dims_of_expr(split.args[0]) or ()), split.attrs.indices_or_sections
        if parts is None or int(split.attrs.axis) % rank != rank - 1 or isinstance(cuts, int):
            return item
        first = [0, *(int(cut) for cut in cuts)][int(item.index)]
        return self._interleaved(parts, first, _channels(item))

    def _shuffled(self, merge: Any) -> Sequence[Any] | None:
        """The parts whose channels the reshape `merge` deals out in turn."""
        chain = [merge]
        for name in ("relax.permute_dims", "relax.reshape", "relax.concat"):
            chain.append(self._lookup(chain[-1].args[0]))
            if call_name(chain[-1]) != name:
                return None
        _, swap, group, joined = chain
        fields = self._lookup(joined.args[0])
        parts = list(fields.fields) if isinstance(fields, relax.Tuple) else []
        shape, grouped = dims_of_expr(joined), dims_of_expr(group)
        if not parts or shape is None or len(shape) != len(_SWAPPED) - 1:
            return None
        alike = {dims_of_expr(part) for part in parts} == {(*shape[:3], shape[3] // len(parts))}
        turned = [int(axis) for axis in swap.attrs.axes or ()] == _SWAPPED
        in_turn = grouped == (*shape[:3], len(parts), shape[3] // len(parts))
        known = dims_of_expr(merge) == shape and dtype_of(merge) in _FLOATS
        return parts if alike and turned and in_turn and known else None

    def _interleaved(self, parts: Sequence[Any], first: int, channels: int) -> Any:
        return self.builder_.call_te(
            _te_interleave,
            list(parts),
            first=first,
            channels=channels,
            primfunc_name_hint="interleave",
            primfunc_attrs={"op_pattern": _OPAQUE},
        )

    def _lookup(self, expr: Any) -> Any:
        bound = self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr
        return expr if bound is None else bound

    def _renamed(self, expr: Any) -> Any:
        """The variable that another name stands for."""
        while isinstance(expr, relax.Var) and isinstance(self.lookup_binding(expr), relax.Var):
            expr = self.lookup_binding(expr)
        return expr


def _channels(expr: Any) -> int:
    return int((dims_of_expr(expr) or (0,))[-1])


def _te_interleave(parts: Sequence[Any], first: int, channels: int) -> Any:
    def element(*at: Any) -> Any:
        *pixel, channel = at
        place = (*pixel, tirx.floordiv(channel + first, len(parts)))
        value = parts[-1][place]
        for turn, part in enumerate(parts[:-1]):
            own = tirx.EQ(tirx.floormod(channel + first, len(parts)), turn)
            value = tirx.if_then_else(own, part[place], value)
        return value

    shape = (*parts[0].shape[:-1], channels)
    attrs = {"hetcomp.anchor": "interleave", INTERLEAVE: first}
    return te.compute(shape, element, name="interleaved", attrs=attrs)
