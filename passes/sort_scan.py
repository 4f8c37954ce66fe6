"""Lower sorting, top-k and running sums to one loop nest each.

TVM leaves these operators to a target's library, which a model.so does not carry. The code here is
sequential and needs no memory besides its outputs; sorting n elements takes O(n k) steps, with k
the number kept, so that it suits a top-k and is slow for sorting tens of thousands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tvm import te, tirx, topi
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 (TVM's own idiom)

__all__ = ["SORT_SCAN_RULES"]


def _topk(builder: Any, call: Any) -> Any:
    attrs = call.attrs
    return builder.call_te(
        _te_select,
        call.args[0],
        count=int(attrs.k),
        axis=int(attrs.axis),
        descending=bool(attrs.largest),
        index_dtype=str(attrs.dtype),
        result=str(attrs.ret_type),
        primfunc_name_hint="topk",
    )


def _sort(result: str) -> Callable[[Any, Any], Any]:
    def rule(builder: Any, call: Any) -> Any:
        attrs = call.attrs
        return builder.call_te(
            _te_select,
            call.args[0],
            count=0,
            axis=int(attrs.axis),
            descending=bool(attrs.descending),
            index_dtype=str(attrs.dtype) if result == "indices" else "int32",
            result=result,
            primfunc_name_hint="sort",
        )

    return rule


def _scan(operator: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def rule(builder: Any, call: Any) -> Any:
        attrs = call.attrs
        axis = None if attrs.axis is None else int(attrs.axis)
        dtype = str(call.ty.dtype.dtype)
        return builder.call_te(operator, call.args[0], axis, dtype, bool(attrs.exclusive))

    return rule


SORT_SCAN_RULES: Mapping[str, Callable[[Any, Any], Any]] = {
    "relax.topk": _topk,
    "relax.sort": _sort("values"),
    "relax.argsort": _sort("indices"),
    "relax.cumsum": _scan(topi.cumsum),
    "relax.cumprod": _scan(topi.cumprod),
}
"""Rules for `relax.transform.LegalizeOps`, by operator."""


def _te_select(
    data: Any, count: int, axis: int, descending: bool, index_dtype: str, result: str
) -> Any:
    """The first `count` (0: all) elements of the sorted order along `axis`, and their indices."""
    shape = [int(extent) for extent in data.shape]
    axis %= len(shape)
    kept = count if count > 0 else shape[axis]
    out_shape = [*shape[:axis], kept, *shape[axis + 1 :]]
    values, indices = te.extern(
        [out_shape, out_shape],
        [data],
        lambda ins, outs: _insertion(
            *(ins[0], outs[0], outs[1]),
            outer=math.prod(shape[:axis]),
            extent=shape[axis],
            kept=kept,
            stride=math.prod(shape[axis + 1 :]),
            descending=descending,
        ),
        dtype=[str(data.dtype), index_dtype],
        name="topk",
    )
    return {"both": [values, indices], "values": values, "indices": indices}[result]


def _insertion(
    data: Any, values: Any, indices: Any, *, outer: int, extent: int, kept: int, stride: int,
    descending: bool,
) -> Any:  # fmt: skip
    """Insert each element into the sorted ones kept so far; equal ones stay in order."""
    with IRBuilder() as builder:
        source, out, at = (T.buffer_proxy(buffer) for buffer in (data, values, indices))
        with T.serial(0, outer * stride) as line, T.serial(0, extent) as i:
            block, lane = tirx.floordiv(line, stride), tirx.floormod(line, stride)
            value = T.bind(source[(block * extent + i) * stride + lane])
            filled = tirx.min(i, kept)

            def place(position: Any) -> Any:
                return (block * kept + position) * stride + lane

            def put(position: Any, element: Any, index: Any) -> None:
                with T.If(position < kept), T.Then():
                    out[place(position)] = element
                    at[place(position)] = index

            def comes_first(position: Any) -> Any:
                other = out[place(position)]
                return value > other if descending else value < other

            put(i, value, tirx.Cast(indices.dtype, i))
            # Most elements of a long line end here.
            with T.If(comes_first(tirx.max(filled - 1, 0))), T.Then():
                with T.serial(0, filled) as step:
                    position = filled - 1 - step
                    with T.If(comes_first(position)), T.Then():
                        put(position + 1, out[place(position)], at[place(position)])
                        put(position, value, tirx.Cast(indices.dtype, i))
        return builder.get()
