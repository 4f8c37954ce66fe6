"""Activations that TVM imports in a wasteful form: Clip, HardSwish, Mish, Softmax."""

from typing import Any

import ml_dtypes
import numpy as np
from tvm import relax

from hetcomp.frontend.converters.context import NodeContext
from hetcomp.passes.relax_values import dtype_of

__all__ = ["celu", "clip", "hard_swish", "mish", "prelu", "softmax", "swish", "tanh"]

# Above this x, tanh(softplus(x)) is 1 to the last bit, and exp(2 x) still fits the type.
_MISH_LIMIT = {"float16": 5.0, "bfloat16": 20.0, "float32": 20.0, "float64": 40.0}


def clip(ctx: NodeContext) -> Any:
    """Emit one ``relax.clip``, so that ReLU6 fuses; TVM emits isnan, where and two call_tir.

    Bounds come from attributes (operator sets 6 to 10) or inputs; a missing or NaN bound is the
    type's limit, and where the bounds cross, the upper one wins, as ONNX wants.
    """
    x = ctx.inputs[0]
    dtype = dtype_of(x)
    if ctx.opset < 11:
        low, high = ctx.attributes.get("min"), ctx.attributes.get("max")
        return _constant_clip(x, dtype, _bound(low), _bound(high))
    if any(ctx.input(i) is not None and ctx.constant(i) is None for i in (1, 2)):
        return _run_time_clip(ctx, x, dtype)
    return _constant_clip(x, dtype, _bound(ctx.constant(1)), _bound(ctx.constant(2)))


def _bound(value: Any) -> float | int | None:
    if value is None:
        return None
    number: float | int = np.asarray(value).reshape(-1)[0].item()
    return None if number != number else number  # NaN bounds nothing


def _limits(dtype: str) -> tuple[float | int, float | int]:
    if "float" in dtype:
        limits: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        return float(limits.min), float(limits.max)
    whole = np.iinfo(dtype)
    return int(whole.min), int(whole.max)


def _constant_clip(x: Any, dtype: str, low: float | int | None, high: float | int | None) -> Any:
    least, most = _limits(dtype)
    low = least if low is None else max(low, least)
    high = most if high is None else min(high, most)
    number = float if "float" in dtype else int
    return relax.op.clip(x, number(min(low, high)), number(high))


def _run_time_clip(ctx: NodeContext, x: Any, dtype: str) -> Any:
    least, most = _limits(dtype)
    for index, limit, select in ((1, least, relax.op.maximum), (2, most, relax.op.minimum)):
        bound = ctx.input(index)
        if bound is None:
            continue
        if "float" in dtype:
            bound = relax.op.where(relax.op.isnan(bound), relax.const(limit, dtype), bound)
        x = select(x, bound)
    return x


def hard_swish(ctx: NodeContext) -> Any:
    """Emit ``x * clip(x / 6 + 1/2, 0, 1)``, ONNX's definition; TVM emits a division."""
    x = ctx.inputs[0]
    dtype = dtype_of(x)
    slope = relax.op.multiply(x, relax.const(1.0 / 6.0, dtype))
    gate = relax.op.clip(relax.op.add(slope, relax.const(0.5, dtype)), 0.0, 1.0)
    return relax.op.multiply(x, gate)


def swish(ctx: NodeContext) -> Any:
    """Emit ``x * sigmoid(alpha * x)``, which TVM lacks."""
    x, alpha = ctx.inputs[0], ctx.attributes.get("alpha", 1.0)
    scaled = x if alpha == 1.0 else relax.op.multiply(x, relax.const(alpha, dtype_of(x)))
    return relax.op.multiply(x, relax.op.sigmoid(scaled))


def celu(ctx: NodeContext) -> Any:
    """Emit ``max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)``, which TVM lacks."""
    x, alpha = ctx.inputs[0], ctx.attributes.get("alpha", 1.0)
    dtype = dtype_of(x)
    low = relax.op.minimum(x, relax.const(0.0, dtype))
    power = relax.op.exp(relax.op.multiply(low, relax.const(1.0 / alpha, dtype)))
    tail = relax.op.multiply(
        relax.op.subtract(power, relax.const(1.0, dtype)), relax.const(alpha, dtype)
    )
    return relax.op.add(relax.op.nn.relu(x), tail)


def prelu(ctx: NodeContext) -> Any:
    """Operator set 6 wants one slope per channel; later ones broadcast, as TVM does."""
    if ctx.opset >= 7:
        return None
    return relax.op.nn.prelu(ctx.inputs[0], relax.op.reshape(ctx.inputs[1], (-1,)), axis=1)


def mish(ctx: NodeContext) -> Any:
    """Emit ``x * tanh(softplus(x))`` with one exponential instead of exp, log and tanh."""
    gate = _tanh_softplus(ctx.inputs[0])
    return None if gate is None else relax.op.multiply(ctx.inputs[0], gate)


def tanh(ctx: NodeContext) -> Any:
    """Recognise ``Tanh(Softplus(x))``, as exporters write Mish."""
    return None if ctx.softplus_input is None else _tanh_softplus(ctx.softplus_input)


def _tanh_softplus(x: Any) -> Any:
    """tanh(log(1 + e)) = n / (n + 2) with e = exp(x), n = e (e + 2)."""
    dtype = dtype_of(x)
    if dtype not in _MISH_LIMIT:
        return None
    two = relax.const(2.0, dtype)
    e = relax.op.exp(relax.op.minimum(x, relax.const(_MISH_LIMIT[dtype], dtype)))
    n = relax.op.multiply(e, relax.op.add(e, two))
    return relax.op.divide(n, relax.op.add(n, two))


def softmax(ctx: NodeContext) -> Any:
    """Emit ``relax.nn.softmax``; before operator set 13 it flattens, needless on the last axis."""
    rank = ctx.inputs[0].ty.ndim
    axis = ctx.attributes.get("axis", -1 if ctx.opset >= 13 else 1)
    if ctx.opset < 13 and axis % rank != rank - 1:
        return None
    return relax.op.nn.softmax(ctx.inputs[0], axis=axis)
