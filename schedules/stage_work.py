"""What a program computes besides its matrix-like stage, for cost models."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import tvm
import tvm_ffi
from tvm import ir, tirx
from tvm.ir.expr import TensorLoad

from hetcomp.cost.kernel_facts import KernelFacts

from .expression import IF_THEN_ELSE, dtype_of
from .program import Program, Stage

__all__ = ["count_stages"]

_LIGHT = (tirx.Add, tirx.Sub, tirx.Mul, tirx.Min, tirx.Max, tirx.Select, tirx.Cast)
_HEAVY = (tirx.Div, tirx.Mod, tirx.FloorDiv, tirx.FloorMod)


def count_stages(program: Program, facts: KernelFacts) -> KernelFacts:
    """`facts` with the element type, and with the operations of all stages but the anchor."""
    others = [stage for stage in program.stages if stage.anchor is None]
    light = heavy = scattered = 0
    for stage in others:
        elements = math.prod(stage.shape) * math.prod(axis.extent for axis in stage.reduce)
        one_light, one_heavy = _operations(stage)
        light += elements * (one_light + bool(stage.reduce))
        heavy += elements * one_heavy
        scattered += elements * _scattered(stage)
    return replace(
        facts,
        item_bytes=_item_bytes(program),
        stages=len(others),
        light_ops=light,
        heavy_ops=heavy,
        scattered_reads=scattered,
    )


def _item_bytes(program: Program) -> int:
    """See `KernelFacts.item_bytes`."""
    if program.halves:
        return 2
    first = (program.inputs or program.outputs)[0]
    return -(-int(tvm.DataType(str(first.dtype)).bits) // 8)


def _operations(stage: Stage) -> tuple[int, int]:
    """Light and heavy operations on floats per element; those of indices do not count."""
    found: list[Any] = []
    tvm_ffi.structural_walk(stage.value, ((*_LIGHT, *_HEAVY, ir.Call), found.append))
    floats = [node for node in found if dtype_of(node).startswith("float")]
    light = sum(isinstance(node, _LIGHT) or _is_choice(node) for node in floats)
    return light, len(floats) - light


def _is_choice(node: Any) -> bool:
    return isinstance(node, ir.Call) and getattr(node.op, "name", "") == IF_THEN_ELSE


def _scattered(stage: Stage) -> int:
    """Loads whose neighbours in memory do not belong to neighbouring elements of the output."""
    if not stage.spatial:
        return 0
    last = stage.spatial[-1].var
    loads: list[Any] = []
    tvm_ffi.structural_walk(stage.value, (TensorLoad, loads.append))
    return sum(any(_uses(index, last) for index in list(load.indices)[:-1]) for load in loads)


def _uses(expr: Any, var: Any) -> bool:
    found: list[Any] = []
    tvm_ffi.structural_walk(expr, (tirx.Var, found.append))
    return any(item.same_as(var) for item in found)
