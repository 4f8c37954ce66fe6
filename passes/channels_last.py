"""Pooling and reductions of a transposed tensor, as the same of the tensor itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import relax

from .quantized_values import call_name
from .relax_values import dims_of_expr

__all__ = ["before_transpose", "shuffled_channels"]

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


def shuffled_channels(call: Any, lookup: Callable[[Any], Any]) -> Any | None:
    """A channel shuffle of an NHWC tensor, where `call` is one of its transpose to NCHW.

    Parameters
    ----------
    call
        Any call; a shuffle ends in a reshape.
    lookup
        From a variable to what is bound to it.

    Returns
    -------
    Any or None
        Three nested calls, of NHWC; None where `call` is no such shuffle.
    """
    names = ("relax.reshape", "relax.permute_dims", "relax.reshape", "relax.permute_dims")
    chain = [call]
    while call_name(chain[-1]) == names[len(chain) - 1]:
        if len(chain) == len(names):
            return _shuffle(*chain)
        chain.append(lookup(chain[-1].args[0]))
    return None


def _shuffle(merge: Any, swap: Any, part: Any, transpose: Any) -> Any | None:
    source, parts, merged = transpose.args[0], dims_of_expr(part), dims_of_expr(merge)
    nhwc = dims_of_expr(source)
    permutes = [tuple(int(axis) for axis in p.attrs.axes or ()) for p in (swap, transpose)]
    if nhwc is None or parts is None or permutes != [(0, 2, 1, 3, 4), _TO_NCHW]:
        return None
    batch, height, width, channels = nhwc
    same = (parts[0], *parts[3:]) == (batch, height, width) and len(parts) == len(nhwc) + 1
    if not same or merged != (batch, channels, height, width):
        return None
    grouped = relax.op.reshape(source, (batch, height, width, *parts[1:3]))
    return relax.op.reshape(relax.op.permute_dims(grouped, [0, 1, 2, 4, 3]), nhwc)


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
