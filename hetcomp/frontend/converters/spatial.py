"""Resize and Upsample, all versions, as ``relax.image.resize2d``."""

from typing import Any

from tvm import relax

from hetcomp.frontend.converters.context import NodeContext
from hetcomp.passes.relax_values import dims_of_expr

__all__ = ["resize"]

_METHODS = {"nearest": "nearest_neighbor", "linear": "linear", "cubic": "cubic"}


def resize(ctx: NodeContext) -> Any:
    """Resize an NCHW tensor to the extents that ONNX infers.

    TVM reads the inputs of version 10 in the wrong places and rounds scaled extents down after
    float error; here the extents are ONNX's own.  Versions 7 to 10 are asymmetric.
    """
    x, dims = ctx.inputs[0], dims_of_expr(ctx.inputs[0])
    if dims is None or ctx.dims is None:
        return None
    if ctx.dims == dims:
        return x
    if len(dims) != 4:
        return None
    old = ctx.opset < 11
    mode = _text(ctx, "mode", "nearest")
    transform = "asymmetric" if old else _text(ctx, "coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else _text(ctx, "nearest_mode", "round_prefer_floor")
    return relax.op.image.resize2d(
        x,
        size=relax.ShapeExpr(ctx.dims[2:]),
        roi=_roi(ctx),
        layout="NCHW",
        method=_METHODS[mode],
        coordinate_transformation_mode=transform,
        rounding_method=rounding if mode == "nearest" else "",
        cubic_alpha=ctx.attributes.get("cubic_coeff_a", -0.75),
        cubic_exclude=ctx.attributes.get("exclude_outside", 0),
        extrapolation_value=ctx.attributes.get("extrapolation_value", 0.0),
    )


def _text(ctx: NodeContext, name: str, default: str) -> str:
    value = ctx.attributes.get(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


def _roi(ctx: NodeContext) -> list[float]:
    roi = ctx.constant(1) if ctx.opset >= 11 else None
    if roi is None or roi.size != 8:
        return [0.0] * 4
    return [float(roi[i]) for i in (2, 3, 6, 7)]
