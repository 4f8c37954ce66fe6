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

from .slices import SLICE_RULES
from .sort_scan import SORT_SCAN_RULES
from .te_blocks import batch_indices, te_conv2d

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
            **SLICE_RULES,
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
    groups, (_, _, group_in, channels) = int(attrs.groups), _dims(weight)
    depthwise = groups > 1 and group_in == 1 and groups == channels and nchw is None
    return builder.call_te(
        te_conv2d,
        data if nchw is None else nchw,
        weight,
        strides=[int(v) for v in attrs.strides],
        padding=[int(v) for v in attrs.padding],
        dilation=[int(v) for v in attrs.dilation],
        groups=groups,
        out_shape=_dims(call),
        anchor="depthwise" if depthwise else "conv2d",
        accumulator=_dtype(data),
        nchw=nchw is not None,
        primfunc_name_hint="conv2d",
        primfunc_attrs={"op_pattern": _OUT_ELEMENTWISE_FUSABLE},
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
        row = (*batch_indices(left, at[:-2]), at[-2], k)
        column = (*batch_indices(right, at[:-2]), k, at[-1])
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
