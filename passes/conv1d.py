"""Convolutions along one axis as those along two, of maps one pixel high: these have templates.

The axis that is added stays through the element-wise operators behind, so that they become the
convolution's epilogue and the next convolution finds it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

from .quantized_values import call_name
from .relax_values import constant, constant_value, dims_of_expr
from .rewrite import rewrite_functions
from .sink_transposes import ELEMENTWISE

__all__ = ["Conv1dAsConv2d"]

_RANK = 3
_ADDED = 2
"""Place of the axis of extent 1 in `[batch, channels, 1, width]`."""


@tvm.transform.module_pass(opt_level=0, name="Conv1dAsConv2d")
@dataclass(frozen=True)
class Conv1dAsConv2d:
    """`conv1d(x, w)` to `narrow(conv2d(wide(x), wide(w)))`, and `op(narrow(x))` behind it to
    `narrow(op(x))`, where `wide` and `narrow` are reshapes that add and remove an axis."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        mod = rewrite_functions(mod, _Widener(mod))
        return relax.transform.DeadCodeElimination()(mod)


@relax.expr_functor.mutator
class _Widener(relax.PyExprMutator):  # type: ignore[misc]
    """Rewrites calls in order."""

    def visit_call_(self, call: Any) -> Any:
        """Replace a convolution, or an operator behind one."""
        call = self.visit_expr_post_order(call)
        name = call_name(call)
        if name == "relax.nn.conv1d" and dims_of_expr(call) is not None:
            return self._convolution(call)
        return self._elementwise(call) if name in ELEMENTWISE else call

    def _convolution(self, call: Any) -> Any:
        attrs = call.attrs
        if str(attrs.data_layout) != "NCW" or str(attrs.kernel_layout) != "OIW":
            return call
        data, weight = (self._wide(argument) for argument in call.args)
        left, right = (int(pad) for pad in attrs.padding)
        wide = relax.op.nn.conv2d(
            data,
            weight,
            strides=(1, int(attrs.strides[0])),
            padding=(0, left, 0, right),
            dilation=(1, int(attrs.dilation[0])),
            groups=int(attrs.groups),
        )
        return self._narrow(wide, dims_of_expr(call))

    def _elementwise(self, call: Any) -> Any:
        """`call` on wide operands, where one is narrowed and the others can be widened."""
        dims = dims_of_expr(call)
        if dims is None or not any(self._source(argument) is not None for argument in call.args):
            return call
        known = (self._source(arg) is not None or self._is_fixed(arg, dims) for arg in call.args)
        if not all(known):
            return call
        operands = [self._operand(argument) for argument in call.args]
        return self._narrow(relax.Call(call.op, operands, call.attrs, call.ty_args), dims)

    def _is_fixed(self, argument: Any, dims: Any) -> bool:
        """Whether widening costs nothing: a constant, or no tensor."""
        if not isinstance(argument.ty, relax.TensorType):
            return True
        array = constant_value(self._lookup(argument))
        return array is not None and array.ndim in (0, len(dims))

    def _operand(self, argument: Any) -> Any:
        is_scalar = dims_of_expr(argument) == () if hasattr(argument.ty, "shape") else True
        return argument if is_scalar else self._wide(argument)

    def _wide(self, argument: Any) -> Any:
        """`argument` with the axis: what it was narrowed from, or reshaped."""
        source = self._source(argument)
        if source is not None:
            return source
        array = constant_value(self._lookup(argument))
        first, second, last = dims_of_expr(argument) or array.shape  # type: ignore[union-attr]
        if array is not None:
            return constant(array.reshape((first, second, 1, last)))
        return self.builder_.emit(relax.op.reshape(argument, (first, second, 1, last)))

    def _narrow(self, wide: Any, dims: Any) -> Any:
        return relax.op.reshape(self.builder_.emit(wide), dims)

    def _source(self, argument: Any) -> Any | None:
        """What `argument` was narrowed from."""
        call = self._lookup(argument)
        if call_name(call) != "relax.reshape" or len(dims_of_expr(call) or ()) != _RANK:
            return None
        before, after = dims_of_expr(call.args[0]), dims_of_expr(call)
        if before is None or after is None:
            return None
        return call.args[0] if before == (*after[:_ADDED], 1, *after[_ADDED:]) else None

    def _lookup(self, argument: Any) -> Any:
        bound = self.lookup_binding(argument) if isinstance(argument, relax.Var) else argument
        return argument if bound is None else bound
