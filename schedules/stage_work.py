"""How much element-wise work a program has besides its matrix-like stage, for cost models."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import tvm_ffi
from tvm import ir, tirx

from hetcomp.cost.kernel_facts import KernelFacts

from .expression import IF_THEN_ELSE, dtype_of
from .program import Program, Stage

__all__ = ["count_stages"]

_LIGHT = (tirx.Add, tirx.Sub, tirx.Mul, tirx.Min, tirx.Max, tirx.Select, tirx.Cast)
_HEAVY = (tirx.Div, tirx.Mod, tirx.FloorDiv, tirx.FloorMod)


def count_stages(program: Program, facts: KernelFacts) -> KernelFacts:
    """`facts` with the steps and operations of all stages but the anchor."""
    others = [stage for stage in program.stages if stage.anchor is None]
    light = heavy = 0
    for stage in others:
        elements = math.prod(stage.shape) * math.prod(axis.extent for axis in stage.reduce)
        one_light, one_heavy = _operations(stage)
        light += elements * (one_light + bool(stage.reduce))
        heavy += elements * one_heavy
    return replace(facts, stages=len(others), light_ops=light, heavy_ops=heavy)


def _operations(stage: Stage) -> tuple[int, int]:
    """Light and heavy operations on floats per element; those of indices do not count."""
    found: list[Any] = []
    tvm_ffi.structural_walk(stage.value, ((*_LIGHT, *_HEAVY, ir.Call), found.append))
    floats = [node for node in found if dtype_of(node).startswith("float")]
    light = sum(isinstance(node, _LIGHT) or _is_choice(node) for node in floats)
    return light, len(floats) - light


def _is_choice(node: Any) -> bool:
    return isinstance(node, ir.Call) and getattr(node.op, "name", "") == IF_THEN_ELSE
