"""The work of a layer: multiply-adds of the direct method, those on padding left out.

A task's own `flops` count every tap of a window. Kernels need not compute the taps that see only
padding, and ours do not; without this a dilated convolution of a small map would pass the peak.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from hetcomp.plan.graph import Task, TaskGraph

__all__ = ["layer_flops"]


def layer_flops(
    task: Task,
    graph: TaskGraph,
    nodes: Mapping[str, onnx.NodeProto],
    weights: Mapping[str, tuple[int, ...]],
) -> int:
    """Multiply-adds of `task`, counted twice.

    Parameters
    ----------
    task, graph
        The task and its graph.
    nodes
        The model's nodes by name.
    weights
        Shapes of its initializers by name.
    """
    own = (nodes[name] for name in task.source if name in nodes)
    node = next((node for node in own if node.op_type == "Conv"), None)
    if node is None or node.input[1] not in weights:
        return task.flops
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    _, ins, *kernel = weights[node.input[1]]
    channels = ins * int(given.get("group", 1))
    inside = _map_size(graph.tensors[task.inputs[0]].shape, channels)
    out = graph.tensors[task.outputs[0]].shape[1:3]
    if "pads" not in given or len(kernel) != 2 or len(inside) != 2:
        return task.flops
    strides, dilations = given.get("strides", [1, 1]), given.get("dilations", [1, 1])
    share = 1.0
    for axis in range(2):
        step = (strides[axis], dilations[axis])
        taps = _taps(out[axis], inside[axis], kernel[axis], step, given["pads"][axis])
        share *= taps / (out[axis] * kernel[axis])
    return round(task.flops * share)


def _map_size(shape: tuple[int, ...], channels: int) -> tuple[int, ...]:
    """Height and width of a map, NHWC but for the model's inputs; empty if it is neither."""
    if shape[-1] == channels:
        return shape[1:-1]
    return shape[2:] if shape[1:2] == (channels,) else ()


def _taps(out: int, size: int, kernel: int, step: tuple[int, int], pad: int) -> int:
    """How many of `out * kernel` taps along an axis lie in the map."""
    stride, dilation = step
    places = (y * stride - pad + k * dilation for y in range(out) for k in range(kernel))
    return sum(0 <= place < size for place in places)
