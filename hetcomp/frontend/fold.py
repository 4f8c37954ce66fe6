"""Fold a static model: shape arithmetic and constant subgraphs become initializers.

One pass in topological order, with shape inference and evaluation node by node: when a node is
reached, everything that its inputs can tell is known.  ``Identity``, inference ``Dropout`` and
``If`` with a constant condition vanish; unused nodes and weights go; equal weights are shared.
"""

import hashlib
from collections.abc import Iterator

import onnx

from hetcomp.frontend.canonical import canonicalise
from hetcomp.frontend.evaluate import evaluate
from hetcomp.frontend.structure import name_nodes, subgraphs
from hetcomp.frontend.values import Values, is_onnx_domain
from hetcomp.frontend.weights import Weights, is_reference

__all__ = ["fold_model"]


def fold_model(model: onnx.ModelProto, weights: Weights) -> onnx.ModelProto:
    """Return `model`, whose inputs are static, folded; its ``value_info`` holds all types.

    Large weights stay references to `weights`.

    Raises
    ------
    ModelError
        A node does not fit the shapes or types of its inputs.
    """
    folder = _Folder(model, weights)
    folder.visit_all(model.graph.node)
    nodes = _live_nodes(folder.nodes, folder.outputs)
    return _rebuild(model, nodes, folder.values)


class _Folder:
    """The state of the pass: nodes kept so far, renamed tensors, known values."""

    def __init__(self, model: onnx.ModelProto, weights: Weights) -> None:
        self.values = Values(model, weights)
        self.outputs = [output.name for output in model.graph.output]
        self.nodes: list[onnx.NodeProto] = []
        self._renamed: dict[str, str] = {}

    def visit_all(self, nodes: "Iterator[onnx.NodeProto] | onnx.GraphProto.node") -> None:
        for original in nodes:
            node = onnx.NodeProto()
            node.CopyFrom(original)
            for index, name in enumerate(node.input):
                node.input[index] = self._renamed.get(name, name)
            self._visit(node)

    def _visit(self, node: onnx.NodeProto) -> None:
        if is_onnx_domain(node.domain):
            if self._inline_if(node):
                return
            _dropout_to_identity(node, self.values)
            if node.op_type == "Identity" and self._forward(node):
                return
        self.values.infer(node)
        canonicalise(node, self.values)
        results = evaluate(node, self.values)
        if results is None:
            self.nodes.append(node)
            return
        for name, array in zip(node.output, results, strict=True):
            self.values.add_constant(name, array)

    def _forward(self, node: onnx.NodeProto) -> bool:
        """Let consumers of an Identity read its input; not where it names a graph output."""
        source, target = node.input[0], node.output[0]
        if target in self.outputs and source not in self.values.constants:
            return False
        if source in self.values.constants:
            tensor = onnx.TensorProto()
            tensor.CopyFrom(self.values.constants[source])
            tensor.name = target
            self.values.set_constant(tensor)
        else:
            self._renamed[target] = source
        return True

    def _inline_if(self, node: onnx.NodeProto) -> bool:
        if node.op_type != "If":
            return False
        condition = self.values.array(node.input[0])
        if condition is None:
            return False
        wanted = "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"
        branch = next(a.g for a in node.attribute if a.name == wanted)
        for tensor in branch.initializer:
            self.values.set_constant(tensor)
        self.visit_all(branch.node)
        for inner, outer in zip(branch.output, node.output, strict=True):
            name = self._renamed.get(inner.name, inner.name)
            self._visit(
                onnx.helper.make_node("Identity", [name], [outer], name=f"{node.name}/{outer}")
            )
        return True


def _dropout_to_identity(node: onnx.NodeProto, values: Values) -> None:
    """Dropout passes its input on, unless it is told to train or its mask may be read."""
    if node.op_type != "Dropout" or any(node.output[1:]):
        return
    if len(node.input) > 2 and node.input[2]:
        training = values.array(node.input[2])
        if training is None or bool(training):
            return
    node.op_type = "Identity"
    del node.input[1:], node.output[1:], node.attribute[:]


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for graph in subgraphs(node):
        yield from (output.name for output in graph.output)
        for inner in graph.node:
            yield from _reads(inner)


def _live_nodes(nodes: list[onnx.NodeProto], outputs: list[str]) -> list[onnx.NodeProto]:
    live = set(outputs)
    kept = []
    for node in reversed(nodes):
        if live.isdisjoint(node.output):
            continue
        _drop_unused_outputs(node, live)
        live.update(_reads(node))
        kept.append(node)
    return kept[::-1]


def _drop_unused_outputs(node: onnx.NodeProto, live: set[str]) -> None:
    """Drop trailing optional outputs that nobody reads: masks, indices, running means."""
    if not is_onnx_domain(node.domain) or not onnx.defs.has(node.op_type):
        return
    formal = onnx.defs.get_schema(node.op_type).outputs
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    while len(node.output) > 1 and node.output[-1] not in live:
        if len(node.output) > len(formal) or formal[len(node.output) - 1].option != optional:
            return
        del node.output[-1]


def _rebuild(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], values: Values
) -> onnx.ModelProto:
    outputs = [output.name for output in model.graph.output]
    weights = _share_equal_weights(nodes, outputs, values)
    result = onnx.ModelProto()
    result.ir_version = model.ir_version
    result.producer_name = model.producer_name
    result.opset_import.extend(model.opset_import)
    result.metadata_props.extend(model.metadata_props)
    result.graph.name = model.graph.name or "main"
    result.graph.node.extend(nodes)
    result.graph.input.extend(model.graph.input)
    result.graph.initializer.extend(weights)
    for output in model.graph.output:
        kind = values.types.get(output.name, output.type)
        result.graph.output.append(onnx.helper.make_value_info(output.name, kind))
    name_nodes(result.graph)
    inner = {name for node in nodes for name in node.output if name and name not in outputs}
    for name in sorted(inner & values.types.keys()):
        result.graph.value_info.append(onnx.helper.make_value_info(name, values.types[name]))
    return result


def _share_equal_weights(
    nodes: list[onnx.NodeProto], outputs: list[str], values: Values
) -> list[onnx.TensorProto]:
    """Return the weights that `nodes` read, equal ones once; renames the inputs of `nodes`."""
    first: dict[bytes, str] = {}
    kept: dict[str, onnx.TensorProto] = {}
    for node in nodes:
        for index, name in enumerate(node.input):
            if name not in values.constants:
                continue
            tensor = values.constants[name]
            owner = first.setdefault(_digest(tensor, values.weights), name)
            kept[owner] = values.constants[owner]
            node.input[index] = owner
    captured = {name for node in nodes for name in _reads(node)} | set(outputs)
    for name in sorted(captured & (values.constants.keys() - kept.keys())):
        kept[name] = values.constants[name]
    return list(kept.values())


def _digest(tensor: onnx.TensorProto, weights: Weights) -> bytes:
    anonymous = onnx.TensorProto()
    anonymous.data_type = tensor.data_type
    anonymous.dims.extend(tensor.dims)
    head = anonymous.SerializeToString(deterministic=True)
    if is_reference(tensor) or tensor.HasField("raw_data"):
        digest = hashlib.sha256(head)
        array = weights.array(tensor).reshape(-1) if is_reference(tensor) else None
        digest.update(tensor.raw_data if array is None else array.data)
        weights.release()
        return digest.digest()
    anonymous.CopyFrom(tensor)
    anonymous.ClearField("name")
    anonymous.ClearField("doc_string")
    return hashlib.sha256(anonymous.SerializeToString(deterministic=True)).digest()
