"""Targets: the machine that a model is compiled for, this one or one that is not here."""

from __future__ import annotations

from .board import target_for
from .compile_target import CompileTarget, TargetGpu
from .find import find_target
from .host import cpu_target

__all__ = ["CompileTarget", "TargetGpu", "cpu_target", "find_target", "target_for"]
