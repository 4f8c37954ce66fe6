"""What is known of every tensor while a graph is folded: its type, and its value if constant."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from hetcomp.errors import ModelError
from hetcomp.frontend.structure import describe
from hetcomp.frontend.weights import Weights

__all__ = ["Values", "dims_of", "is_onnx_domain"]

_SMALL = 4096  # elements; larger constants hold weights, not shapes, and inference ignores them


def is_onnx_domain(domain: str) -> bool:
    """Whether `domain` is the standard operator set's."""
    return domain in ("", "ai.onnx")


def dims_of(kind: onnx.TypeProto | None) -> tuple[int, ...] | None:
    """Return the extents in `kind`, or None unless all are known."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        return None
    return tuple(dim.dim_value for dim in dims)


class Values:
    """Types and constants of a graph's tensors, and shape inference one node at a time."""

    def __init__(self, model: onnx.ModelProto, weights: Weights) -> None:
        self.weights = weights
        self._opsets = list(model.opset_import)
        self._ir_version = model.ir_version
        self._context = onnx.checker.C.CheckerContext()
        self._context.ir_version = model.ir_version
        self._context.opset_imports = {o.domain: o.version for o in self._opsets}
        self.opset = next(o.version for o in self._opsets if is_onnx_domain(o.domain))
        self.types: dict[str, onnx.TypeProto] = {i.name: i.type for i in model.graph.input}
        self.constants: dict[str, onnx.TensorProto] = {}
        for tensor in model.graph.initializer:
            self.set_constant(tensor)

    def set_constant(self, tensor: onnx.TensorProto) -> None:
        """Record the constant `tensor` under its name."""
        self.constants[tensor.name] = tensor
        self.types[tensor.name] = onnx.helper.make_tensor_type_proto(
            tensor.data_type, list(tensor.dims)
        )

    def add_constant(self, name: str, array: np.ndarray) -> None:
        """Record `array` as the constant `name`."""
        self.set_constant(numpy_helper.from_array(np.asarray(array), name))

    def array(self, name: str) -> np.ndarray | None:
        """Return the constant `name`, or None if it is not constant."""
        tensor = self.constants.get(name)
        return None if tensor is None else self.weights.array(tensor)

    def dims(self, name: str) -> tuple[int, ...] | None:
        """Return the static extents of `name`, or None."""
        return dims_of(self.types.get(name))

    def model_of(
        self, nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], limit: int
    ) -> onnx.ModelProto:
        """Build a model of `nodes` alone; constants above `limit` elements become typed inputs."""
        made = {output for node in nodes for output in node.output}
        names = {name for node in nodes for name in node.input if name and name not in made}
        inputs, initializers = [], []
        for name in sorted(names):
            tensor = self.constants.get(name)
            if tensor is not None and math.prod(tensor.dims) <= limit:
                initializers.append(self.weights.inline(tensor))
            elif name in self.types:
                inputs.append(onnx.helper.make_value_info(name, self.types[name]))
        graph = onnx.helper.make_graph(
            nodes,
            "part",
            inputs,
            [onnx.helper.make_empty_tensor_value_info(name) for name in outputs],
            initializers,
        )
        return onnx.helper.make_model(
            graph, opset_imports=self._opsets, ir_version=self._ir_version
        )

    def infer(self, node: onnx.NodeProto) -> None:
        """Check `node` against its operator's schema and infer the types of its outputs.

        Raises
        ------
        ModelError
            An attribute is malformed, or the inputs' types or shapes do not fit the operator.
        """
        schema = self._schema(node)
        if schema is None:
            return
        self._check_schema(node)
        outputs = [name for name in node.output if name]
        model = self.model_of([node], outputs, _SMALL)
        try:
            # Without a function of its own, inference goes through the operator's function body,
            # which the strict mode wrongly rejects.
            strict = schema.has_type_and_shape_inference_function
            inferred = onnx.shape_inference.infer_shapes(model, strict_mode=strict)
        except onnx.shape_inference.InferenceError as error:
            raise ModelError(
                f"{describe(node)} does not fit its inputs "
                f"({', '.join(self._show(name) for name in node.input)}): {_first_line(error)}"
            ) from error
        for value in inferred.graph.output:
            if any(extent < 0 for extent in dims_of(value.type) or ()):
                raise ModelError(
                    f"{describe(node)} gives '{value.name}' the shape {dims_of(value.type)}; "
                    f"its inputs are {', '.join(self._show(name) for name in node.input)}"
                )
            if value.type.WhichOneof("value"):
                self.types[value.name] = value.type

    def _check_schema(self, node: onnx.NodeProto) -> None:
        """Raise ``ModelError`` where attributes or arity are not the operator's."""
        try:
            onnx.checker.check_node(node, self._context)
        except onnx.checker.ValidationError as error:
            raise ModelError(f"{describe(node)} is malformed: {_first_line(error)}") from error

    def _schema(self, node: onnx.NodeProto) -> Any:
        """Return the schema of `node`, or None where its types cannot be inferred."""
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            return None
        if any(name and name not in self.types for name in node.input):
            return None
        domain = "" if is_onnx_domain(node.domain) else node.domain
        version = next((o.version for o in self._opsets if o.domain in (domain, node.domain)), 0)
        try:
            schema = onnx.defs.get_schema(node.op_type, version, domain)
        except onnx.defs.SchemaError:
            return None
        return None if schema.deprecated else schema

    def _show(self, name: str) -> str:
        return f"{name or 'none'}: {list(self.dims(name) or ('?',))}"


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
