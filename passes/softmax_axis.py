"""Move the axis of every softmax to the end, where the row-wise template works along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

from .rewrite import rewrite_functions

__all__ = ["SoftmaxLastAxis"]


@tvm.transform.module_pass(opt_level=0, name="SoftmaxLastAxis")
@dataclass(frozen=True)
class SoftmaxLastAxis:
    """`softmax(x, axis)` to transpose, softmax over the last axis, transpose back."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        return rewrite_functions(mod, _Mover(mod))


@relax.expr_functor.mutator
class _Mover(relax.PyExprMutator):  # type: ignore[misc]
    """Rewrites the calls."""

    def visit_call_(self, call: Any) -> Any:
        """Replace a softmax over an inner axis."""
        call = self.visit_expr_post_order(call)
        if not isinstance(call.op, tvm.ir.Op) or call.op.name != "relax.nn.softmax":
            return call
        rank = len(call.args[0].ty.shape.values)
        axis = int(call.attrs.axis) % rank
        if axis == rank - 1:
            return call
        order = [d for d in range(rank) if d != axis] + [axis]
        back = [order.index(d) for d in range(rank)]
        moved = self.builder_.emit(relax.op.permute_dims(call.args[0], order))
        done = self.builder_.emit(relax.op.nn.softmax(moved, axis=-1))
        return relax.op.permute_dims(done, back)
