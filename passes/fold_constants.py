"""Fold operators on Relax constants in NumPy.

TVM's converters reshape biases and cast scales at run time; ``relax.transform.FoldConstant`` would
compile each through LLVM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from .relax_values import constant, constant_value, dims_of_expr, dtype_of
from .rewrite import rewrite_functions

__all__ = ["FoldConstants", "fold_constants"]

_GROWTH_LIMIT = 1 << 20  # elements a fold may add
_BINARY: dict[str, Callable[..., Any]] = {
    "relax.add": np.add,
    "relax.subtract": np.subtract,
    "relax.multiply": np.multiply,
    "relax.divide": np.divide,
}
_UNARY: dict[str, Callable[..., Any]] = {
    "relax.sqrt": np.sqrt,
    "relax.rsqrt": lambda x: np.reciprocal(np.sqrt(x)),
    "relax.negative": np.negative,
}


def fold_constants(mod: Any) -> Any:
    """Return `mod` with views, casts and sums of constants evaluated, and dead bindings gone."""
    return relax.transform.DeadCodeElimination()(rewrite_functions(mod, _Folder(mod)))


@tvm.transform.module_pass(opt_level=0, name="FoldConstants")
@dataclass(frozen=True)
class FoldConstants:
    """`fold_constants` as a pass."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        return fold_constants(mod)


@relax.expr_functor.mutator
class _Folder(relax.PyExprMutator):  # type: ignore[misc]
    """Replace calls on constants by constants."""

    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        arguments = [self._constant(argument) for argument in call.args]
        if not isinstance(call.op, tvm.ir.Op) or not arguments or arguments[0] is None:
            return call
        array = _evaluate(call, arguments)
        if array is None or array.size > arguments[0].size + _GROWTH_LIMIT:
            return call
        return constant(array)

    def _constant(self, expr: Any) -> np.ndarray | None:
        if isinstance(expr, relax.Var):
            bound = self.lookup_binding(expr)
            expr = expr if bound is None else bound
        return constant_value(expr)


def _evaluate(call: Any, arguments: list[np.ndarray | None]) -> np.ndarray | None:
    name, x = call.op.name, arguments[0]
    dims = dims_of_expr(call)
    if dims is None or x is None:
        return None
    if name in ("relax.reshape", "relax.expand_dims", "relax.squeeze"):
        return x.reshape(dims)
    if name == "relax.permute_dims":
        axes = call.attrs.axes
        return np.transpose(x, None if axes is None else [int(axis) for axis in axes])
    if name == "relax.astype" and dtype_of(call) != "bool" and x.dtype.kind in "iub":
        return np.asarray(x, dtype_of(call))
    if name in _UNARY and x.dtype.kind == "f":
        return np.asarray(_UNARY[name](x), x.dtype)
    if name == "relax.divide" and x.dtype.kind != "f":
        return None
    if name in _BINARY and arguments[1] is not None and x.dtype == arguments[1].dtype:
        result: np.ndarray = _BINARY[name](x, arguments[1])
        return result
    return None
