"""Concatenations of parts that lie side by side in a tensor already take that tensor instead.

`concat(split(x), y)` is `concat(x, y)`: what makes x may then write it in place, and readers of a
half take it from there (YOLOv8's C2f). `concat(a, b, c)` is `concat(concat(a, b), c)` where the
inner one is computed anyway: the growing concatenations of a dense block then share one tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import relax

from .quantized_values import call_name
from .relax_values import dims_of_expr
from .rewrite import rewrite_functions
from .slices import part_of

__all__ = ["JoinParts"]


@tvm.transform.module_pass(opt_level=0, name="JoinParts")
@dataclass(frozen=True)
class JoinParts:
    """Parts of a concatenation that are all of a tensor, in order, to that tensor."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        functions = [f for f in mod.functions.values() if isinstance(f, relax.Function)]
        joined = {var: new for function in functions for var, new in _joined(function).items()}
        if not joined:
            return mod
        mod = relax.transform.CanonicalizeBindings()(rewrite_functions(mod, _Joiner(mod, joined)))
        return relax.transform.DeadCodeElimination()(mod)


@relax.expr_functor.mutator
class _Joiner(relax.PyExprMutator):  # type: ignore[misc]
    """Puts the bindings `joined`, by variable, in the place of others."""

    def __init__(self, mod: Any, joined: Mapping[Any, Any]) -> None:
        super().__init__(mod)
        self._joined = joined

    def visit_var_binding_(self, binding: Any) -> None:
        """Rewrite one binding."""
        super().visit_var_binding_(self._joined.get(binding.var, binding))


@dataclass
class _Function:
    """Bindings met so far, and the concatenations among them."""

    bound: dict[Any, Any] = field(default_factory=dict)
    concats: list[_Concat] = field(default_factory=list)

    def value(self, expr: Any) -> Any:
        """What is bound to a variable, aliases followed."""
        while isinstance(expr, relax.Var) and expr in self.bound:
            expr = self.bound[expr]
        return expr

    def original(self, expr: Any) -> Any:
        """The variable that others are aliases of."""
        while isinstance(expr, relax.Var) and isinstance(self.bound.get(expr), relax.Var):
            expr = self.bound[expr]
        return expr


@dataclass(frozen=True)
class _Concat:
    """`whole` holds `parts` side by side along `axis`."""

    whole: Any
    axis: int
    parts: tuple[Any, ...]


def _joined(function: Any) -> dict[Any, Any]:
    """New bindings, by the variables of those whose parts can be joined."""
    known, found = _Function(), {}
    for block in function.body.blocks:
        for binding in block.bindings:
            concat = _concat(binding, known)
            known.bound[binding.var] = binding.value
            if concat is None:
                continue
            parts = _shorter(concat, known)
            if len(parts) < len(concat.parts):
                value = parts[0] if len(parts) == 1 else relax.op.concat(list(parts), concat.axis)
                found[binding.var] = relax.VarBinding(binding.var, value)
            known.concats.append(concat)
    return found


def _concat(binding: Any, known: _Function) -> _Concat | None:
    call, dims = binding.value, dims_of_expr(binding.var)
    if call_name(call) != "relax.concat" or dims is None:
        return None
    parts = known.value(call.args[0])
    if not isinstance(parts, relax.Tuple):
        return None
    fields = tuple(known.original(part) for part in parts.fields)
    return _Concat(binding.var, int(call.attrs.axis) % len(dims), fields)


def _shorter(concat: _Concat, known: _Function) -> Sequence[Any]:
    """The parts of a concatenation, as many as possible at a time."""
    parts: list[Any] = []
    rest = list(concat.parts)
    while rest:
        taken, whole = _all_of_a_split(rest, concat.axis, known)
        for other in known.concats:
            length = len(other.parts)
            same = other.axis == concat.axis and length > taken and len(rest) >= length
            if same and all(a.same_as(b) for a, b in zip(rest, other.parts, strict=False)):
                taken, whole = length, other.whole
        parts.append(whole)
        del rest[:taken]
    return parts


def _all_of_a_split(parts: Sequence[Any], axis: int, known: _Function) -> tuple[int, Any]:
    """How many of the first parts are together a whole tensor, and that; else one of them."""
    end, source = 0, None
    for count, part in enumerate(parts, start=1):
        found = part_of(known.value(part), known.value)
        if found is None or found.axis != axis or found.first != end:
            break
        if source is not None and not known.original(found.source).same_as(source):
            break
        source, end = known.original(found.source), found.stop
        if end == (dims_of_expr(source) or ())[axis]:
            return count, source
    return 1, parts[0]
