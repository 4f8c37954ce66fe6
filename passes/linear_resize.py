"""Widen maps one axis after the other: a bilinear resize is two resizes of one axis each.

TVM computes every element from four neighbours, whose places and weights it computes as often. Of
a map that becomes NCHW, the rows are interpolated first, on few columns; then the columns, whose
places are the same in each row and known when compiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax, te, tirx

from .quantized_values import call_name
from .relax_values import dims_of_expr, dtype_of
from .rewrite import rewrite_functions

__all__ = ["COLUMNS", "SeparateResize"]

COLUMNS = "hetcomp.columns"
"""Block annotation: for each output column the input column at its left, before clamping."""

_OPAQUE = 8
_TO_NCHW = [0, 3, 1, 2]
_MOST_COLUMNS = 1024
"""Code has a piece for every vector of a row."""


@tvm.transform.module_pass(opt_level=0, name="SeparateResize")
@dataclass(frozen=True)
class SeparateResize:
    """`permute_dims(resize2d(x NHWC, linear), to NCHW)` to interpolations of rows and columns."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        return relax.transform.DeadCodeElimination()(rewrite_functions(mod, _Separator(mod)))


@dataclass(frozen=True)
class _Taps:
    """Of each output position along an axis: the input position before it, and the weight of the
    one behind that."""

    first: NDArray[np.int32]
    weight: NDArray[np.float32]


@relax.expr_functor.mutator
class _Separator(relax.PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: Any) -> Any:
        """Replace the transpose of a resize."""
        call = self.builder_.normalize(self.visit_expr_post_order(call))
        if call_name(call) != "relax.permute_dims" or not isinstance(call.args[0], relax.Var):
            return call
        resize = self.lookup_binding(call.args[0])
        axes = call.attrs.axes
        if axes is None or [int(axis) for axis in axes] != _TO_NCHW or not _is_linear(resize):
            return call
        source, target = dims_of_expr(resize.args[0]), dims_of_expr(call)
        if source is None or target is None or not source[2] <= target[3] <= _MOST_COLUMNS:
            return call
        mode = str(resize.attrs.coordinate_transformation_mode)
        rows, columns = (_taps(source[i], target[i + 1], mode) for i in (1, 2))
        if rows is None or columns is None:
            return call
        return self._separate(resize.args[0], rows, columns)

    def _separate(self, source: Any, rows: _Taps, columns: _Taps) -> Any:
        taller = self.builder_.emit(
            self._call(_te_rows, source, rows, primfunc_name_hint="resize_rows")
        )
        places = [int(column) for column in columns.first]
        return self._call(
            _te_columns, taller, columns, columns=places, primfunc_name_hint="resize_columns"
        )

    def _call(self, function: Any, source: Any, taps: _Taps, **options: Any) -> Any:
        tables = (relax.const(taps.first), relax.const(taps.weight))
        pattern = {"op_pattern": _OPAQUE}
        return self.builder_.call_te(function, source, *tables, primfunc_attrs=pattern, **options)


def _is_linear(resize: Any) -> bool:
    return (
        call_name(resize) == "relax.image.resize2d"
        and str(resize.attrs.layout) == "NHWC"
        and str(resize.attrs.method) == "linear"
        and dtype_of(resize) == dtype_of(resize.args[0]) == "float32"
    )


def _taps(size: int, wanted: int, mode: str) -> _Taps | None:
    """Positions by float64; None for modes that look elsewhere."""
    place, scale = np.arange(wanted, dtype=np.float64), size / wanted
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and wanted > 1):
        place = (place + 0.5) * scale - 0.5
    elif mode == "asymmetric":
        place = place * scale
    elif mode == "align_corners" and wanted > 1:
        place = place * ((size - 1) / (wanted - 1))
    else:
        return None
    first = np.floor(place)
    return _Taps(first.astype(np.int32), (place - first).astype(np.float32))


def _te_rows(source: Any, first: Any, weight: Any) -> Any:
    batch, height, width, channels = (int(dim) for dim in source.shape)

    def element(n: Any, c: Any, y: Any, x: Any) -> Any:
        above, below = _clamped(first[y], height), _clamped(first[y] + 1, height)
        return _between(source[n, above, x, c], source[n, below, x, c], weight[y])

    return te.compute((batch, channels, int(first.shape[0]), width), element, name="rows")


def _te_columns(source: Any, first: Any, weight: Any, columns: Sequence[int]) -> Any:
    *lead, width = (int(dim) for dim in source.shape)

    def element(*at: Any) -> Any:
        *line, x = at
        left = (*line, _clamped(first[x], width))
        right = (*line, _clamped(first[x] + 1, width))
        return _between(source[left], source[right], weight[x])

    attrs = {"hetcomp.anchor": "resize_columns", COLUMNS: list(columns)}
    return te.compute((*lead, int(first.shape[0])), element, name="columns", attrs=attrs)


def _clamped(index: Any, extent: int) -> Any:
    return tirx.max(tirx.min(index, extent - 1), 0)


def _between(low: Any, high: Any, weight: Any) -> Any:
    return low * (tirx.const(1.0, "float32") - weight) + high * weight
