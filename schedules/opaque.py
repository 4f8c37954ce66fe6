"""The last resort: the function as TVM made it, whole, on the CPU."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.ir import PointerType, PrimType

from .expression import dtype_of
from .facts import DeviceFacts
from .scheduled import Scheduled, TileGrid

__all__ = ["OPAQUE", "opaque"]

OPAQUE = "opaque"
"""The kind of such tasks."""

_CPU = 1
"""DLPack's device type; TVM wants one named where a kernel has local buffers."""


def opaque(func: tirx.PrimFunc, reason: str) -> Scheduled:
    """Run `func` unscheduled as one tile on one CPU thread; `reason` says why it has no better."""

    def emit(symbol: str, device: DeviceFacts) -> tirx.PrimFunc:
        assert not device.opencl, "an opaque task has no OpenCL kernel"
        return _with_range(func, symbol)

    return Scheduled(
        kind=OPAQUE,
        emit=emit,
        rows=TileGrid(1),
        axis_reason="one tile",
        why_no_opencl=reason,
    )


def _with_range(func: tirx.PrimFunc, symbol: str) -> tirx.PrimFunc:
    """`func` on raw pointers with the four range arguments, run where row tile 0 is asked for."""
    buffers = list(func.params)
    pointers = [
        tirx.Var(f"b{i}", PointerType(PrimType(str(buffer.dtype)), "global"))
        for i, buffer in enumerate(buffers)
    ]
    ranges = [tirx.Var(name, "int32") for name in ("r0", "r1", "c0", "c1")]
    # TVM's extern operators leave the offset of their buffers open; ours begin at the pointer.
    declared: list[Any] = [
        tirx.Bind(buffer.elem_offset, tirx.IntImm(dtype_of(buffer.elem_offset), 0))
        for buffer in buffers
        if isinstance(buffer.elem_offset, tirx.Var)
    ]
    declared += [
        tirx.DeclBuffer(buffer, data=pointer)
        for buffer, pointer in zip(buffers, pointers, strict=True)
    ]
    wanted = tirx.And(ranges[0] < ranges[1], ranges[2] < ranges[3])
    body: Any = tirx.SeqStmt([*declared, tirx.IfThenElse(wanted, func.body, None)])
    for key, value in (("device_type", _CPU), ("device_id", 0)):
        body = tirx.AttrStmt(0, key, value, body)
    attributes = dict(func.attrs.items()) if func.attrs is not None else {}
    attributes.update({"global_symbol": symbol, "tirx.noalias": True})
    return tirx.PrimFunc(pointers + ranges, body).with_attrs(attributes)
