"""Parts of a tensor along one axis: what they are in Relax, and their TIR.

TVM computes all parts of a split in one function. Here each has a function of its own, annotated
with where it lies, so that a reader may take it from the whole where that needs no copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import tvm
from tvm import relax, te

from .quantized_values import call_name
from .relax_values import dims_of_expr, static_dims
from .rewrite import rewrite_functions

__all__ = ["SLICE", "SLICE_AXIS", "SLICE_RULES", "Part", "SlicesOfSplits", "part_of"]

SLICE = "hetcomp.slice"
"""Block annotation of a part of a tensor: its first index along `SLICE_AXIS`."""
SLICE_AXIS = "hetcomp.slice_axis"

_INJECTIVE = 2


@dataclass(frozen=True)
class Part:
    """Indices `first` to `stop` (excluded) of `source` along `axis`."""

    source: Any
    axis: int
    first: int
    stop: int


@tvm.transform.module_pass(opt_level=0, name="SlicesOfSplits")
@dataclass(frozen=True)
class SlicesOfSplits:
    """`split(x)[i]` to a slice of `x`."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        return relax.transform.DeadCodeElimination()(rewrite_functions(mod, _Slicer(mod)))


@relax.expr_functor.mutator
class _Slicer(relax.PyExprMutator):  # type: ignore[misc]
    """Rewrites the items."""

    def visit_tuple_getitem_(self, item: Any) -> Any:
        """Replace an item of a split."""
        item = self.visit_expr_post_order(item)
        part = part_of(item, self._lookup)
        if part is None:
            return item
        return relax.op.strided_slice(part.source, [part.axis], [part.first], [part.stop], [1])

    def _lookup(self, expr: Any) -> Any:
        bound = self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr
        return expr if bound is None else bound


def part_of(value: Any, lookup: Callable[[Any], Any]) -> Part | None:
    """What `value` is a part of: an item of a split, or a slice with step 1 along one axis.

    `lookup` gives what is bound to a variable.
    """
    if isinstance(value, relax.TupleGetItem):
        split = lookup(value.tuple_value)
        found = _parts_of_split(split) if call_name(split) == "relax.split" else []
        return found[int(value.index)] if found else None
    return _strided(value) if call_name(value) == "relax.strided_slice" else None


def _parts_of_split(call: Any) -> list[Part]:
    """The parts of a `relax.split`; none where an extent is not static."""
    (source,), shape = call.args, dims_of_expr(call.args[0])
    results = [static_dims(field) for field in getattr(call.ty, "fields", ())]
    if shape is None or any(dims is None for dims in results):
        return []
    axis = int(call.attrs.axis) % len(shape)
    ends = [0, *accumulate(dims[axis] for dims in results if dims is not None)]
    return [Part(source, axis, first, stop) for first, stop in pairwise(ends)]


def _strided(call: Any) -> Part | None:
    source, shape = call.args[0], dims_of_expr(call.args[0])
    axes, begins, _, *steps = (_integers(arg) for arg in call.args[1:])
    result = dims_of_expr(call)
    if shape is None or result is None or axes is None or len(axes) != 1:
        return None
    if begins is None or any(step != [1] for step in steps):
        return None
    axis = axes[0] % len(shape)
    first = min(begins[0] + (shape[axis] if begins[0] < 0 else 0), shape[axis])
    return Part(source, axis, max(first, 0), max(first, 0) + result[axis])


def _integers(tuple_: Any) -> list[int] | None:
    try:
        return [int(field) for field in tuple_.fields]
    except (AttributeError, TypeError):
        return None


def _legalize_slice(builder: Any, call: Any) -> Any:
    part = _strided(call)
    if part is None:
        return tvm.ir.Op.get("relax.strided_slice").get_attr("FLegalize")(builder, call)
    return builder.call_te(
        _te_slice,
        part.source,
        axis=part.axis,
        first=part.first,
        stop=part.stop,
        primfunc_name_hint="slice",
        primfunc_attrs={"op_pattern": _INJECTIVE},
    )


def _te_slice(source: Any, axis: int, first: int, stop: int) -> Any:
    shape = [*source.shape[:axis], stop - first, *source.shape[axis + 1 :]]

    def element(*at: Any) -> Any:
        place = (*at[:axis], at[axis] + first, *at[axis + 1 :])
        return source[place]

    return te.compute(shape, element, name="slice", attrs={SLICE: first, SLICE_AXIS: axis})


SLICE_RULES: Mapping[str, Callable[[Any, Any], Any]] = {"relax.strided_slice": _legalize_slice}
"""How `relax.transform.LegalizeOps` lowers slices."""
