"""Questions about Relax expressions that passes and converters ask alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import relax

__all__ = ["constant", "constant_value", "dims_of_expr", "dtype_of", "static_dims"]

_SHARED_BYTES = 1 << 16
"""Smaller constants are copied: TVM may want them aligned and dense, to print or to compare."""


def constant_value(expr: Any) -> np.ndarray | None:
    """Return the array of a Relax constant, shared where NumPy can, or None for the rest."""
    if not isinstance(expr, tvm.ir.GenericConst):
        return None
    try:
        array: np.ndarray = np.from_dlpack(expr.value)
    except (BufferError, RuntimeError, TypeError):  # NumPy's DLPack lacks bfloat16
        array = expr.value.numpy()
    return array


def constant(array: np.ndarray) -> Any:
    """Return a Relax constant; a large one shares the memory of `array`, whatever its strides."""
    shared = array.nbytes >= _SHARED_BYTES and array.flags.writeable and array.dtype.kind in "fiu"
    if not shared:
        return relax.const(tvm.runtime.tensor(np.ascontiguousarray(array).reshape(array.shape)))
    return relax.const(tvm_ffi.from_dlpack(array))


def dims_of_expr(expr: Any) -> tuple[int, ...] | None:
    """Return the static extents of a Relax tensor, or None."""
    return static_dims(expr.ty)


def static_dims(kind: Any) -> tuple[int, ...] | None:
    """Return the extents in the Relax type `kind`, or None unless all are static."""
    shape = getattr(kind, "shape", None)
    if not isinstance(shape, relax.ShapeExpr):
        return None
    if not all(isinstance(extent, tvm.tirx.IntImm) for extent in shape.values):
        return None
    return tuple(int(extent) for extent in shape.values)


def dtype_of(expr: Any) -> str:
    """Return the element type of a Relax tensor, ``"float32"`` and the like."""
    return str(expr.ty.dtype.dtype)
