"""Let a convolution of few channels read its NCHW input itself instead of a transposed copy.

A convolution kernel only broadcasts single input elements, so the input's layout costs it nothing,
while a transpose to three channels does not vectorise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

from .anchors import conv2d_call
from .rewrite import rewrite_functions

__all__ = ["AbsorbInputLayout"]

_FEW_CHANNELS = 4
_TO_NHWC = [0, 2, 3, 1]


@tvm.transform.module_pass(opt_level=0, name="AbsorbInputLayout")
@dataclass(frozen=True)
class AbsorbInputLayout:
    """`conv2d(permute_dims(x, NCHW to NHWC))` to a convolution of `x`, for up to four channels."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        return relax.transform.DeadCodeElimination()(rewrite_functions(mod, _Absorber(mod)))


@relax.expr_functor.mutator
class _Absorber(relax.PyExprMutator):  # type: ignore[misc]
    """Rewrites the convolutions."""

    def visit_call_(self, call: Any) -> Any:
        """Replace a convolution whose input is a transpose of few channels."""
        call = self.visit_expr_post_order(call)
        if not isinstance(call.op, tvm.ir.Op) or call.op.name != "relax.nn.conv2d":
            return call
        source = self._nchw_source(call)
        return call if source is None else conv2d_call(self.builder_, call, nchw=source)

    def _nchw_source(self, call: Any) -> Any | None:
        if str(call.attrs.data_layout) != "NHWC" or int(call.attrs.groups) != 1:
            return None
        bound = self.lookup_binding(call.args[0]) if isinstance(call.args[0], relax.Var) else None
        if not isinstance(bound, relax.Call) or not isinstance(bound.op, tvm.ir.Op):
            return None
        if bound.op.name != "relax.permute_dims" or bound.attrs.axes is None:
            return None
        to_nhwc = [int(axis) for axis in bound.attrs.axes] == _TO_NHWC
        few = int(bound.args[0].ty.shape.values[1]) <= _FEW_CHANNELS
        return bound.args[0] if to_nhwc and few else None
