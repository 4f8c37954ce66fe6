"""Depthwise convolution of bytes for OpenCL class `gpu`, in float32 arithmetic that is exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx

from ..blocks.frame import i32
from ..expression import unravel
from .depthwise import DepthwiseItems
from .window import inside_map

__all__ = ["ByteDepthwiseItems"]


class ByteDepthwiseItems(DepthwiseItems):
    """Bytes are converted as they are read; beside the map lies the zero point.

    Results are stored one by one: TVM prints no vectors of bytes.
    """

    name = "int8 "

    def _tap(self, cell: Any, place: Sequence[Any], tap: Any, channel: Any) -> None:
        self._frame.otherwise(
            inside_map(self._window, *place[1:]),
            lambda: self._inside(cell, place, tap, channel),
            lambda: self._beside(cell, tap),
        )

    def _inside(self, cell: Any, place: Sequence[Any], tap: Any, channel: Any) -> None:
        lanes = self._lanes
        converted = self._frame.local("converted", lanes)
        kind = f"float32x{lanes}" if lanes > 1 else "float32"
        address = tirx.address_of(self._x[self._place(place, channel)])
        value = tirx.call_extern(kind, f"HETCOMP_FLOATS_{lanes}", address)
        self._frame.store(converted, tirx.Ramp(0, 1, lanes) if lanes > 1 else i32(0), value)
        self._multiply_add(cell, tap, lambda lane: converted[lane])

    def _beside(self, cell: Any, tap: Any) -> None:
        value = tirx.FloatImm("float32", float(self._pad_value))
        self._multiply_add(cell, tap, lambda _lane: value)

    def _store(self, cell: Any, pixel: Any, channel: Any) -> None:
        frame, epilogue = self._frame, self._epilogue
        stack = frame.local("stack", self._lanes)
        self._each_lane(lambda lane: frame.store(stack, lane, cell[lane]))
        leads = unravel(pixel, epilogue.shape[:-1])
        with frame.loop(self._lanes) as lane:
            total = tirx.Cast("int32", stack[lane])
            flat = pixel * epilogue.pitch + channel + lane
            epilogue.store(frame, [*leads, channel + lane], flat, total)
