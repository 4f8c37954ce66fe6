"""Lower the operators that have kernel templates to annotated blocks, all others as TVM does.

The annotation (`hetcomp.anchor` and what the template must know) is what `hetcomp.schedules`
matches on. The block itself is a complete, naive definition: without a template it still computes
the right thing. Padding is a condition inside the convolution rather than a copy before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import tvm
from tvm import relax, te, tirx

from .sort_scan import SORT_SCAN_RULES

__all__ = ["CONCAT", "LegalizeAnchors", "conv2d_call"]

CONCAT = "hetcomp.concat"
"""Block annotation of a concatenation along the last axis."""

_OUT_ELEMENTWISE_FUSABLE = 4
"""TVM's operator pattern of a convolution: element-wise operators may be fused behind it."""
_OPAQUE = 8
_NHWC_RANK = 4


@tvm.transform.module_pass(opt_level=0, name="LegalizeAnchors")
@dataclass(frozen=True)
class LegalizeAnchors:
    """Relax operators to TIR functions, convolutions and products annotated."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        rules = {
            **SORT_SCAN_RULES,
            "relax.nn.conv2d": _legalize_conv2d,
            "relax.matmul": _legalize_matmul,
            "relax.concat": _legalize_concat,
            "relax.nn.softmax": _unfused("relax.nn.softmax"),
            "relax.nn.layer_norm": _unfused("relax.nn.layer_norm"),
        }
        return relax.transform.LegalizeOps(rules)(mod)


def _legalize_conv2d(builder: Any, call: Any) -> Any:
    attrs = call.attrs
    if str(attrs.data_layout) != "NHWC" or str(attrs.kernel_layout) != "HWIO":
        return _default("relax.nn.conv2d")(builder, call)
    return conv2d_call(builder, call)


def conv2d_call(builder: Any, call: Any, nchw: Any = None) -> Any:
    """The annotated TIR call for an NHWC `relax.nn.conv2d`.

    Parameters
    ----------
    builder
        Relax block builder to which the TIR function is added.
    call
        The convolution, NHWC data and HWIO weights.
    nchw
        The data in NCHW, to be read instead of the call's own.
    """
    attrs = call.attrs
    data, weight = call.args
    return builder.call_te(
        _te_conv2d,
        data if nchw is None else nchw,
        weight,
        strides=[int(v) for v in attrs.strides],
        padding=[int(v) for v in attrs.padding],
        dilation=[int(v) for v in attrs.dilation],
        groups=int(attrs.groups),
        out_shape=_dims(call),
        nchw=nchw is not None,
        primfunc_name_hint="conv2d",
        primfunc_attrs={"op_pattern": _OUT_ELEMENTWISE_FUSABLE},
    )


def _te_conv2d(
    data: Any,
    weight: Any,
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    out_shape: Sequence[int],
    nchw: bool,
) -> Any:
    shape = [int(dim) for dim in data.shape]
    batch, height, width = (shape[0], *shape[2:]) if nchw else shape[:3]
    kernel_h, kernel_w, group_in, channels = (int(dim) for dim in weight.shape)
    stride_h, stride_w = strides
    dilation_h, dilation_w = dilation
    top, left = padding[:2]
    group_out = channels // groups
    kh = te.reduce_axis((0, kernel_h), name="kh")
    kw = te.reduce_axis((0, kernel_w), name="kw")
    ci = te.reduce_axis((0, group_in), name="ci")

    def element(n: Any, h: Any, w: Any, co: Any) -> Any:
        row = h * stride_h + kh * dilation_h - top
        column = w * stride_w + kw * dilation_w - left
        channel = ci if groups == 1 else tirx.floordiv(co, group_out) * group_in + ci
        value = data[n, channel, row, column] if nchw else data[n, row, column, channel]
        inside = tirx.all(row >= 0, row < height, column >= 0, column < width)
        zero = tirx.const(0, str(data.dtype))
        return te.sum(
            tirx.if_then_else(inside, value, zero) * weight[kh, kw, ci, co], axis=[kh, kw, ci]
        )

    depthwise = groups > 1 and group_in == 1 and groups == channels and not nchw
    window = [
        *(batch, height, width, out_shape[1], out_shape[2], kernel_h, kernel_w),
        *(stride_h, stride_w, dilation_h, dilation_w, top, left, groups),
    ]
    return te.compute(
        tuple(out_shape),
        element,
        name="conv2d",
        attrs={
            "hetcomp.anchor": "depthwise" if depthwise else "conv2d",
            "hetcomp.window": window,
            "hetcomp.nchw_input": int(nchw),
        },
    )


def _legalize_matmul(builder: Any, call: Any) -> Any:
    left, right = (_dims(argument) for argument in call.args)
    if len(left) < 2 or len(right) < 2 or _dtype(call) != _dtype(call.args[0]):
        return _default("relax.matmul")(builder, call)
    return builder.call_te(
        _te_matmul,
        *call.args,
        out_shape=_dims(call),
        primfunc_name_hint="matmul",
        primfunc_attrs={"op_pattern": _OUT_ELEMENTWISE_FUSABLE},
    )


def _te_matmul(left: Any, right: Any, out_shape: Sequence[int]) -> Any:
    k = te.reduce_axis((0, int(left.shape[-1])), name="k")

    def element(*at: Any) -> Any:
        row = (*_broadcast(left, at[:-2]), at[-2], k)
        column = (*_broadcast(right, at[:-2]), k, at[-1])
        return te.sum(left[row] * right[column], axis=[k])

    return te.compute(tuple(out_shape), element, name="matmul", attrs={"hetcomp.anchor": "matmul"})


def _legalize_concat(builder: Any, call: Any) -> Any:
    """A concatenation of channels stays a task of its own: its parts may be written in place."""
    rank, parts = len(_dims(call)), call.args[0]
    last = int(call.attrs.axis) % rank == rank - 1
    if rank != _NHWC_RANK or not last or not isinstance(parts, relax.Tuple):
        return _default("relax.concat")(builder, call)
    return builder.call_te(
        _te_concat,
        list(parts.fields),
        primfunc_name_hint="concat",
        primfunc_attrs={"op_pattern": _OPAQUE},
    )


def _te_concat(parts: Sequence[Any]) -> Any:
    starts = [0, *accumulate(int(part.shape[-1]) for part in parts)]

    def element(*at: Any) -> Any:
        *outer, channel = at
        value = parts[-1](*outer, channel - starts[-2])
        for part, start, stop in reversed(list(zip(parts[:-1], starts, starts[1:], strict=False))):
            value = tirx.if_then_else(channel < stop, part(*outer, channel - start), value)
        return value

    shape = (*parts[0].shape[:-1], starts[-1])
    return te.compute(shape, element, name="concat", attrs={CONCAT: 1})


def _broadcast(tensor: Any, batch: Sequence[Any]) -> list[Any]:
    """Batch indices into `tensor`, whose leading axes may be missing or 1."""
    leading = [int(dim) for dim in tensor.shape[:-2]]
    used = batch[len(batch) - len(leading) :]
    return [0 if dim == 1 else index for dim, index in zip(leading, used, strict=True)]


def _default(name: str) -> Any:
    """TVM's own rule for an operator."""
    return tvm.ir.Op.get(name).get_attr("FLegalize")


def _unfused(name: str) -> Any:
    """TVM's rule, with fusion kept out: the row-wise template computes it whole."""

    def rule(builder: Any, call: Any) -> Any:
        lowered = _default(name)(builder, call)
        function = lowered.args[0]
        module = builder.get()
        builder.update_func(function, module[function].with_attr("op_pattern", _OPAQUE))
        return lowered

    return rule


def _dims(expr: Any) -> list[int]:
    return [int(dim) for dim in expr.ty.shape.values]


def _dtype(expr: Any) -> str:
    return str(expr.ty.dtype)
