"""Readable, unique names of tasks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from hetcomp.plan.graph import Task

__all__ = ["unique_names"]

_GENERATED = re.compile(r"^(lv|gv)\d*(_\d+)?$")
"""Names that TVM makes up for intermediate values."""


def unique_names(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Name tasks after their ONNX value where that survived fusion, else by kind and number."""
    seen: dict[str, int] = {}
    named = []
    for task in tasks:
        base = task.kind if _GENERATED.match(task.name) else task.name
        seen[base] = seen.get(base, 0) + 1
        counted = base == task.kind or seen[base] > 1
        name = f"{base}_{seen[base]}" if counted else base
        named.append(dataclasses.replace(task, name=name))
    return tuple(named)
