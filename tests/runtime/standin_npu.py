"""The stand-in with an NPU: its sums of two and its biases are operators for NPU drivers.

Products and shifts stay with CPU and OpenCL, so that regions are waited for by either, and wait.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import standin

from hetcomp.npu import Operator, describe
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import StepTable

__all__ = ["description", "npu_graph", "npu_table"]

_ROW = (standin.CHANNELS, 1)
_VALUES = {
    "bias": (
        ("load", "float32", 0, 0, _ROW),
        ("const", "float32", 2.0),
        ("load", "float32", 1, 0, (0, 1)),
        ("fma", "float32", 0, 1, 2),
    ),
    "add": (
        ("load", "float32", 0, 0, _ROW),
        ("load", "float32", 1, 0, _ROW),
        ("add", "float32", 0, 1),
    ),
}
_SHARED = {"t1_mix": 6, "t6_shift": 4}
"""Row tiles that the CPU takes of tasks that it shares with OpenCL."""
_OPENCL = ("t4_mix",)


def npu_graph(graph: TaskGraph) -> TaskGraph:
    """The stand-in's graph, on which a plan may place tasks on the NPU."""
    tasks = tuple(
        replace(task, npu=operator is not None)
        for task, operator in zip(graph.tasks, _operators(graph), strict=True)
    )
    return replace(graph, tasks=tasks)


def description() -> dict[str, Any]:
    """What the image says to driver `reference`."""
    return describe(_operators(standin.graph()), "reference")


def npu_table(name: str = "npu") -> StepTable:
    """A table in which all three take part."""
    graph = npu_graph(standin.graph())
    return make_table(graph, Plan(name, tuple(map(_placed, graph.tasks))))


def _placed(task: Task) -> Decision:
    if task.npu:
        return Decision(task.name, Place.NPU)
    if task.name in _OPENCL:
        return Decision(task.name, Place.GPU)
    if task.name in _SHARED:
        return Decision(task.name, Place.SPLIT, Axis.ROWS, _SHARED[task.name])
    return Decision(task.name, Place.CPU)


def _operators(graph: TaskGraph) -> list[Operator | None]:
    def operator(task: Task) -> Operator | None:
        values = _VALUES.get(graph.kernels[task.kernel].symbol)
        if values is None:
            return None
        shape = (standin.ROWS, standin.CHANNELS)
        return Operator("map", shape, task.inputs, task.outputs[0], standin.CHANNELS, None, values)

    return [operator(task) for task in graph.tasks]
