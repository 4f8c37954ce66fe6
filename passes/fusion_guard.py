"""Keep an operator that widens an anchor's result out of the anchor's task.

A squeeze-and-excite gate is a 1x1 convolution on one pixel, multiplied into a whole map. Fused,
the map would have to be computed inside the convolution's tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

__all__ = ["GuardBroadcasts"]

_ANCHOR_PATTERN = 4
_ELEMENTWISE_PATTERNS = (0, 1)
_INJECTIVE = 2
"""TVM fuses operators of this pattern with each other, but not behind an anchor."""


@tvm.transform.module_pass(opt_level=0, name="GuardBroadcasts")
@dataclass(frozen=True)
class GuardBroadcasts:
    """Mark as injective every element-wise function that broadcasts an anchor's result."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass; runs after operator patterns are annotated and before fusion."""
        anchored: dict[Any, int] = {}
        widening: set[str] = set()
        for block in mod["main"].body.blocks:
            for binding in block.bindings:
                self._visit(mod, binding, anchored, widening)
        updates = {
            gvar: func.with_attr("op_pattern", _INJECTIVE)
            for gvar, func in mod.functions.items()
            if gvar.name_hint in widening
        }
        return tvm.IRModule({**dict(mod.functions.items()), **updates}, attrs=mod.attrs)

    def _visit(self, mod: Any, binding: Any, anchored: dict[Any, int], widening: set[str]) -> None:
        call = binding.value
        if not isinstance(call, relax.Call) or not isinstance(call.op, tvm.ir.Op):
            return
        if call.op.name != "relax.call_tir" or not isinstance(binding.var.ty, relax.TensorType):
            return
        function = call.args[0]
        pattern = int(mod[function].attrs["op_pattern"])
        size = _size(binding.var)
        if pattern == _ANCHOR_PATTERN:
            anchored[binding.var] = size
            return
        if pattern not in _ELEMENTWISE_PATTERNS:
            return
        sizes = [anchored[arg] for arg in call.args[1].fields if arg in anchored]
        if any(other < size for other in sizes):
            widening.add(function.name_hint)
        elif sizes:
            anchored[binding.var] = size


def _size(var: Any) -> int:
    return math.prod(int(dim) for dim in var.ty.shape.values)
