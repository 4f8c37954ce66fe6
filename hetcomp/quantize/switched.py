"""A quantised model with a switch for each operator, so that one session tries any of them.

Weights of an operator are those rounded to 8 bits where its switch is on. Any other tensor is
rounded where an operator that makes or reads it is on. That is the model which `quantize` makes
with all others kept in float, without quantising and loading it anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import numpy as np
import onnx

from .network import Network
from .operators import operators
from .ranges import Ranges
from .samples import Array
from .static import quantize
from .task_values import RENAMED

__all__ = ["SwitchedNetwork"]


class SwitchedNetwork:
    """Runs a float model with some of its operators quantised.

    Parameters
    ----------
    model, ranges
        The float model, and the ranges of its tensors.
    """

    def __init__(self, model: onnx.ModelProto, ranges: Ranges) -> None:
        builder = _Builder(model, quantize(model, ranges))
        self.outputs = tuple(output.name for output in model.graph.output)
        self._readers = builder.readers
        self._names = {name: builder.switched.get(name, name) for name in self.outputs}
        self._network = Network(builder.model, list(self._names.values()))

    def run(self, sample: Mapping[str, Array], chosen: Collection[str]) -> dict[str, Array]:
        """Outputs where the operators named in `chosen` are quantised and no others."""
        on = set(chosen)
        switches = {
            switch: np.asarray(not on.isdisjoint(names)) for switch, names in self._readers.items()
        }
        found = self._network.run({**sample, **switches}, list(self._names.values()))
        return {name: found[switched] for name, switched in self._names.items()}


class _Builder:
    """Puts what the quantiser inserted behind switches.

    Attributes
    ----------
    model
        The float model with switches.
    readers
        For each switch the operators any of which turns it on.
    switched
        Tensor to be read instead of the one of the float model.
    """

    def __init__(self, model: onnx.ModelProto, quantized: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.readers: dict[str, set[str]] = defaultdict(set)
        self.switched: dict[str, str] = {}
        graph = quantized.graph
        self._makers = {name: node for node in graph.node for name in node.output}
        self._constants = {item.name: item for item in graph.initializer}
        self._quantizers = {n.input[0]: n for n in graph.node if n.op_type == "QuantizeLinear"}
        self._dequantizers = {n.input[0]: n for n in graph.node if n.op_type == "DequantizeLinear"}
        self._before: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        """Switches of weights, by the node that reads them."""
        self._after: dict[str, onnx.NodeProto] = {}
        """Switches of other tensors."""
        rounded = {node.name: node for node in graph.node}
        chosen = {node.name for node in operators(model)}
        for node in self.model.graph.node:
            if node.name in chosen:
                self._visit(node, rounded[node.name])
        self._insert_switches()

    def _visit(self, node: onnx.NodeProto, rounded: onnx.NodeProto) -> None:
        for place, name in enumerate(rounded.input):
            back = self._makers.get(name)
            if back is None or back.op_type != "DequantizeLinear":
                continue
            to = self._makers.get(back.input[0])
            if to is None:
                node.input[place] = self._weight(node, node.input[place], back)
            else:
                self._tensor(node.name, to)
        made = self._quantizers.get(rounded.output[0])
        if made is not None:
            self._tensor(node.name, made)

    def _weight(self, reader: onnx.NodeProto, name: str, back: onnx.NodeProto) -> str:
        switch = f"{name}_switch_{reader.name}"
        if switch not in self.readers:
            node = self._switch(switch, name, [self._again(back, back.input[0], switch)])
            self._before[reader.name].append(node)
        self.readers[switch].add(reader.name)
        return f"{switch}_out"

    def _tensor(self, operator: str, to: onnx.NodeProto) -> None:
        name = to.input[0].removesuffix(RENAMED)
        switch = f"{name}_switch"
        if name not in self.switched:
            rounded = self._again(to, name, f"{switch}_to")
            back = self._again(self._dequantizers[to.output[0]], rounded.output[0], switch)
            self._after[name] = self._switch(switch, name, [rounded, back])
            self.switched[name] = f"{switch}_out"
        self.readers[switch].add(operator)

    def _again(self, node: onnx.NodeProto, data: str, name: str) -> onnx.NodeProto:
        """A copy of a node that reads `data`; its constants become the model's."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = copy.output[0] = f"{name}_rounded"
        copy.input[0] = data
        known = {item.name for item in self.model.graph.initializer}
        for constant in copy.input:
            if constant in self._constants and constant not in known:
                self.model.graph.initializer.append(self._constants[constant])
        return copy

    def _switch(self, name: str, off: str, rounding: list[onnx.NodeProto]) -> onnx.NodeProto:
        """`off`, or where the input `name` is true what `rounding` makes of it.

        A branch that is not taken takes no time.
        """
        helper, kind = onnx.helper, onnx.TensorProto
        self.model.graph.input.append(helper.make_tensor_value_info(name, kind.BOOL, []))
        same = helper.make_node("Identity", [off], [f"{name}_same"], name=f"{name}_same")
        branches = {
            f"{branch}_branch": helper.make_graph(
                nodes,
                f"{name}_{branch}",
                [],
                [helper.make_tensor_value_info(nodes[-1].output[0], kind.FLOAT, None)],
            )
            for branch, nodes in (("then", rounding), ("else", [same]))
        }
        return helper.make_node("If", [name], [f"{name}_out"], name=name, **branches)

    def _insert_switches(self) -> None:
        """Readers of the float model's tensors read the switched ones, made right before."""
        nodes = [
            self._after[item.name] for item in self.model.graph.input if item.name in self._after
        ]
        for node in self.model.graph.node:
            for place, name in enumerate(node.input):
                node.input[place] = self.switched.get(name, name)
            nodes += [*self._before[node.name], node]
            nodes += [self._after[name] for name in node.output if name in self._after]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)
