"""Pooling and reductions of a transposed tensor, as the same of the tensor itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import relax

__all__ = ["before_transpose"]

_TO_NCHW = (0, 3, 1, 2)
"""Axes of the transpose that brings NHWC to NCHW."""
_POOLS: Mapping[str, Callable[..., Any]] = {
    "relax.nn.avg_pool2d": relax.op.nn.avg_pool2d,
    "relax.nn.max_pool2d": relax.op.nn.max_pool2d,
}
_REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "relax.max": relax.op.max,
    "relax.mean": relax.op.mean,
    "relax.min": relax.op.min,
    "relax.sum": relax.op.sum,
}


def before_transpose(call: Any, source: Any, axes: Sequence[int]) -> Any | None:
    """`call` of `permute_dims(source, axes)` as a call of `source`.

    Returns
    -------
    Any or None
        A call whose result is that of `call` before the same transpose; None where there is none.
    """
    name = call.op.name
    if name in _POOLS and tuple(axes) == _TO_NCHW and str(call.attrs.layout) == "NCHW":
        return _pool(_POOLS[name], call.attrs, source)
    if name in _REDUCTIONS and call.attrs.axis is not None and bool(call.attrs.keepdims):
        reduced = [axes[int(axis)] for axis in call.attrs.axis]
        return _REDUCTIONS[name](source, sorted(reduced), keepdims=True)
    return None


def _pool(operator: Callable[..., Any], attrs: Any, source: Any) -> Any:
    return operator(
        source,
        pool_size=[int(v) for v in attrs.pool_size],
        strides=[int(v) for v in attrs.strides],
        padding=[int(v) for v in attrs.padding],
        dilation=[int(v) for v in attrs.dilation],
        ceil_mode=bool(attrs.ceil_mode),
        count_include_pad=bool(attrs.count_include_pad),
        layout="NHWC",
    )
