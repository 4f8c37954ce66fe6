"""What a layer computes, in one short line: `conv 3x3/2 64->128, 28x28 + Relu`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx

from hetcomp.plan.graph import Task, TaskGraph

__all__ = ["layer_text"]

_ANCHORS = ("Conv", "Gemm", "MatMul")


def layer_text(task: Task, graph: TaskGraph, nodes: Mapping[str, onnx.NodeProto]) -> str:
    """Describe `task`.

    Parameters
    ----------
    task, graph
        The task and its graph; maps are NHWC, or NCHW where a task reads the model's input.
    nodes
        The model's nodes by name.
    """
    own = [nodes[name] for name in task.source if name in nodes]
    anchor = next((node for node in own if node.op_type in _ANCHORS), None)
    if anchor is None:
        return _moved(task, graph, own)
    body = _conv(task, graph, anchor) if anchor.op_type == "Conv" else _product(task, graph)
    tail = [node.op_type for node in own if node is not anchor]
    return " + ".join([body, *tail])


def _conv(task: Task, graph: TaskGraph, node: onnx.NodeProto) -> str:
    _, height, width, channels = graph.tensors[task.outputs[0]].shape
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    kernel = given.get("kernel_shape", (1, 1))
    strides, dilations = given.get("strides", (1, 1)), given.get("dilations", (1, 1))
    group = int(given.get("group", 1))
    taps = math.prod(kernel) * height * width * channels
    ins = round(task.flops * group / (2 * taps)) if taps else 0
    text = f"{'depthwise' if group == ins > 1 else 'conv'} {kernel[0]}x{kernel[1]}"
    text += f"/{max(strides)}" if max(strides) > 1 else ""
    text += f" dilated {max(dilations)}" if max(dilations) > 1 else ""
    text += f" in {group} groups" if ins > group > 1 else ""
    return f"{text} {ins}->{channels}, {height}x{width}"


def _product(task: Task, graph: TaskGraph) -> str:
    *lead, n = graph.tensors[task.outputs[0]].shape
    rows = math.prod(lead)
    heads = task.heads or 1
    k = task.flops // (2 * rows * n)
    batch = f"{heads} x " if heads > 1 else ""
    return f"{task.kind} {batch}{rows // heads}x{k}x{n}"


def _moved(task: Task, graph: TaskGraph, own: list[onnx.NodeProto]) -> str:
    shapes = ["x".join(map(str, graph.tensors[t].shape)) or "scalar" for t in task.outputs]
    operators = " + ".join(node.op_type for node in own) or task.kind
    return f"{operators}, {', '.join(shapes)}"
