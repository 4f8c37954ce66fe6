"""Arithmetic that TVM imports in a wasteful or a wrong form: Gemm, Pow, n-ary sums, IsInf."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from tvm import relax

from hetcomp.frontend.converters.context import NodeContext
from hetcomp.passes.relax_values import constant, constant_value, dtype_of

__all__ = ["add_all", "gemm", "is_inf", "maximum", "mean", "minimum", "power", "rms_norm"]

_MAX_POWER = 4  # x**4 is two multiplications


def gemm(ctx: NodeContext) -> Any:
    """Emit ``matmul`` and ``add``, with constants transposed and scaled in NumPy.

    TVM scales the activation by alpha and transposes the weight at run time.
    """
    a, b, c = ctx.inputs[0], ctx.inputs[1], ctx.input(2)
    dtype = dtype_of(a)
    if "float" not in dtype:
        return None
    if ctx.attributes.get("transA", 0):
        a = relax.op.permute_dims(a, [1, 0])
    b = _transposed(b) if ctx.attributes.get("transB", 0) else b
    alpha, beta = ctx.attributes.get("alpha", 1.0), ctx.attributes.get("beta", 1.0)
    product = relax.op.matmul(a, _scaled(b, alpha, dtype))
    if c is None or beta == 0.0:
        return product
    return relax.op.add(product, _scaled(c, beta, dtype))


def _transposed(expr: Any) -> Any:
    array = constant_value(expr)
    if array is None:
        return relax.op.permute_dims(expr, [1, 0])
    return constant(array.T)


def _scaled(expr: Any, factor: float, dtype: str) -> Any:
    if factor == 1.0:
        return expr
    array = constant_value(expr)
    if array is None:
        return relax.op.multiply(expr, relax.const(factor, dtype))
    return relax.const(array * np.asarray(factor, array.dtype))


def power(ctx: NodeContext) -> Any:
    """Emit multiplications for x**2 to x**4 and a square root for x**0.5."""
    x, exponent = ctx.inputs[0], ctx.constant(1)
    if exponent is None or exponent.size != 1 or exponent.ndim > x.ty.ndim:
        return _general_power(x, ctx.inputs[1])
    value = float(exponent.reshape(-1)[0])
    if value == 0.5 and "float" in dtype_of(x):
        return relax.op.sqrt(x)
    if value not in range(2, _MAX_POWER + 1):
        return _general_power(x, ctx.inputs[1])
    square = relax.op.multiply(x, x)
    if value == 2:
        return square
    return relax.op.multiply(square, x if value == 3 else square)


def _general_power(x: Any, exponent: Any) -> Any:
    """Cast to the type of the two that is a float; the result has the type of `x`."""
    dtype = dtype_of(x)
    if "float" in dtype:
        return relax.op.power(x, _cast(exponent, dtype))
    return relax.op.astype(relax.op.power(_cast(x, dtype_of(exponent)), exponent), dtype)


def _cast(expr: Any, dtype: str) -> Any:
    return expr if dtype_of(expr) == dtype else relax.op.astype(expr, dtype)


def rms_norm(ctx: NodeContext) -> Any:
    """Emit the definition where several axes are normalised; TVM's operator fails there."""
    x, scale = ctx.inputs[0], ctx.inputs[1]
    rank, dtype = x.ty.ndim, dtype_of(x)
    axes = list(range(ctx.attributes.get("axis", -1) % rank, rank))
    if len(axes) == 1:
        return None
    mean = relax.op.mean(relax.op.multiply(x, x), axes, keepdims=True)
    epsilon = relax.const(ctx.attributes.get("epsilon", 1e-5), dtype)
    factor = relax.op.rsqrt(relax.op.add(mean, epsilon))
    return relax.op.multiply(relax.op.multiply(x, factor), scale)


def _chain(ctx: NodeContext, operator: Callable[[Any, Any], Any]) -> Any:
    if len(ctx.inputs) == 1:
        return ctx.inputs[0]
    return reduce(operator, ctx.inputs)


def add_all(ctx: NodeContext) -> Any:
    """Emit a chain of additions; TVM stacks the inputs and reduces."""
    return _chain(ctx, relax.op.add)


def maximum(ctx: NodeContext) -> Any:
    """Emit a chain of ``maximum``."""
    return _chain(ctx, relax.op.maximum)


def minimum(ctx: NodeContext) -> Any:
    """Emit a chain of ``minimum``."""
    return _chain(ctx, relax.op.minimum)


def mean(ctx: NodeContext) -> Any:
    """Emit a chain of additions and one multiplication."""
    scale = relax.const(1.0 / len(ctx.inputs), dtype_of(ctx.inputs[0]))
    return relax.op.multiply(add_all(ctx), scale)


def is_inf(ctx: NodeContext) -> Any:
    """Respect ``detect_positive`` and ``detect_negative``, which TVM ignores."""
    x = ctx.inputs[0]
    positive = ctx.attributes.get("detect_positive", 1)
    negative = ctx.attributes.get("detect_negative", 1)
    if positive and negative:
        return relax.op.isinf(x)
    if not positive and not negative:
        return relax.op.logical_and(relax.op.isinf(x), relax.const(False, "bool"))
    bound = float("inf") if positive else float("-inf")
    return relax.op.equal(x, relax.const(bound, dtype_of(x)))
