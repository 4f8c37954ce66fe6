"""Structural invariants of an ONNX graph: names, order, and complete weights."""

import math
from collections.abc import Iterator

import onnx
from onnx import numpy_helper

from hetcomp.errors import ModelError
from hetcomp.frontend.weights import data_bytes, is_reference

__all__ = ["check_structure", "describe", "name_nodes", "subgraphs"]


def describe(node: onnx.NodeProto) -> str:
    """Return how messages call a node: its name and operator."""
    domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
    return f"node '{node.name}' ({domain}{node.op_type})"


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs in the attributes of `node`."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a unique name, so that messages and plans can refer to it."""
    taken: set[str] = set()
    for node in graph.node:
        first = next((output for output in node.output if output), "none")
        name = stem = node.name or f"{node.op_type}:{first}"
        count = 1
        while name in taken:
            count += 1
            name = f"{stem}#{count}"
        node.name = name
        taken.add(name)


def check_structure(graph: onnx.GraphProto, where: str) -> None:
    """Raise ``ModelError`` unless `graph` is in single-assignment form, ordered and complete."""
    _check_text(graph, where)
    known = _check_values(graph, where)
    for node in graph.node:
        _check_node(node, known, where)
        known.update(output for output in node.output if output)
    for output in graph.output:
        if output.name not in known:
            raise ModelError(f"{where}: graph output '{output.name}' is made by no node")
    if not graph.output:
        raise ModelError(f"{where}: the graph has no outputs")


def _check_text(graph: onnx.GraphProto, where: str) -> None:
    """Protobuf hands out text that is not UTF-8 as bytes: a sign of corruption."""
    texts = [item.name for part in (graph.input, graph.output, graph.initializer) for item in part]
    for value in graph.input:
        texts += [dim.dim_param for dim in value.type.tensor_type.shape.dim]
    for node in graph.node:
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
        texts += [attribute.name for attribute in node.attribute]
    for text in (graph.name, *texts):
        if not isinstance(text, str):
            raise ModelError(f"{where}: the name {text!r} is not valid UTF-8; the file is corrupt")


def _check_values(graph: onnx.GraphProto, where: str) -> set[str]:
    known: set[str] = set()
    for kind, names in (
        ("input", [value.name for value in graph.input]),
        ("initializer", [tensor.name for tensor in graph.initializer]),
    ):
        for name in names:
            if not name:
                raise ModelError(f"{where}: a graph {kind} has no name")
            if name in known:
                raise ModelError(f"{where}: the name '{name}' is defined twice ({kind})")
            known.add(name)
    if graph.sparse_initializer:
        raise ModelError(f"{where}: sparse initializers are not supported; store them densely")
    for tensor in graph.initializer:
        _check_tensor(tensor, where)
    return known


def _check_node(node: onnx.NodeProto, known: set[str], where: str) -> None:
    if not node.op_type:
        raise ModelError(f"{where}: {describe(node)} has no operator type")
    for name in node.input:
        if name and name not in known:
            raise ModelError(
                f"{where}: {describe(node)} reads '{name}', which no earlier node makes; "
                "ONNX wants nodes in topological order"
            )
    for name in node.output:
        if name and name in known:
            raise ModelError(f"{where}: {describe(node)} defines '{name}' a second time")


def _check_tensor(tensor: onnx.TensorProto, where: str) -> None:
    what = f"{where}: initializer '{tensor.name}'"
    if tensor.data_location == onnx.TensorProto.EXTERNAL and not is_reference(tensor):
        raise ModelError(f"{what} is in an external file that was not loaded; give the file's path")
    if any(extent < 0 for extent in tensor.dims):
        raise ModelError(f"{what} has a negative extent: {list(tensor.dims)}")
    if tensor.data_type == onnx.TensorProto.STRING:
        return
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError as error:
        raise ModelError(f"{what} has the unknown element type {tensor.data_type}") from error
    if not tensor.HasField("raw_data") and not is_reference(tensor):
        _check_typed_data(tensor, what)
        return
    bits = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}.get(
        dtype.name, dtype.itemsize * 8
    )
    expected = -(-math.prod(tensor.dims) * bits // 8)
    size = data_bytes(tensor)
    if size != expected:
        raise ModelError(
            f"{what} of shape {list(tensor.dims)} and type {dtype} has {size} "
            f"bytes of data; expected {expected}"
        )


def _check_typed_data(tensor: onnx.TensorProto, what: str) -> None:
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{what} of shape {list(tensor.dims)} is malformed: {error}") from error
    if list(array.shape) != list(tensor.dims):
        raise ModelError(f"{what}: got data of shape {array.shape}, expected {list(tensor.dims)}")
