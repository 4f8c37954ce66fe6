"""The network of `bench sync`: layers in a row, each of which needs both halves of the one before.

All have the same weights, which stay in the caches, and few rows, so that little is handed over:
what a chain takes beyond its kernels is waiting and dispatch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import hetcomp
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import Step, StepTable

__all__ = ["LAYERS", "build_chain", "lane_alone", "split_table"]

LAYERS = 8


def build_chain(path: Path, rows: int, width: int) -> TaskGraph:
    """Compile layers of `width` inputs and outputs over so many rows to `path`."""
    options = hetcomp.CompileOptions(plan="split", exact=True)
    return hetcomp.compile(_network(rows, width), output=path, options=options).graph


def split_table(graph: TaskGraph) -> StepTable:
    """Every layer cut by channels in the middle: each half waits for the other's."""
    decisions = [
        Decision(task.name, Place.SPLIT, Axis.CHANNELS, task.channels.extent // 2)
        for task in graph.tasks
    ]
    return make_table(graph, Plan("split", tuple(decisions)))


def lane_alone(table: StepTable, processor: str) -> StepTable:
    """The steps of one processor, which wait for nobody."""
    steps = _free(table.cpu if processor == "cpu" else table.gpu)
    if processor == "cpu":
        return replace(table, name="cpu alone", cpu=steps, gpu=())
    return replace(table, name="gpu alone", cpu=(), gpu=steps)


def _free(steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(replace(step, wait=0, signal=True) for step in steps)


def _network(rows: int, width: int) -> onnx.ModelProto:
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((width, width)).astype(np.float32)
    weight *= math.sqrt(2.0 / width)
    nodes = []
    for index in range(LAYERS):
        nodes.append(helper.make_node("MatMul", [f"x{index}", "weight"], [f"y{index}"]))
        nodes.append(helper.make_node("Relu", [f"y{index}"], [f"x{index + 1}"]))
    first, last = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, width])
        for name in ("x0", f"x{LAYERS}")
    )
    weights = [numpy_helper.from_array(weight, "weight")]
    graph = helper.make_graph(nodes, "sync", [first], [last], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
