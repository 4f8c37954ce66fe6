"""Convert a checked ONNX model to Relax: TVM's importer, our converters first.

TVM's class is extended, not patched.  The node loop is ours because TVM's prints on errors, loses
the node's name, and leaves results unnamed.  Each result is compared with what ONNX infers: an
importer that gets a shape or a type wrong is refused instead of compiled.
"""

import re
import warnings
from typing import Any

import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter, _get_convert_map, onnx_input

from hetcomp.errors import ModelError, UnsupportedOperatorError
from hetcomp.frontend.converters import CONVERTERS, NodeContext
from hetcomp.frontend.structure import describe
from hetcomp.frontend.values import dims_of, is_onnx_domain
from hetcomp.frontend.weights import Weights
from hetcomp.passes.fold_constants import fold_constants
from hetcomp.passes.relax_values import constant, dims_of_expr, dtype_of

__all__ = ["convert_model"]

_TAKES_SHAPE = frozenset(
    {
        "Reshape",
        "Resize",
        "ConstantOfShape",
        "Gather",
        "Slice",
        "Shape",
        "Expand",
        "Concat",
        "Equal",
        "Where",
        "Cast",
        "CastLike",
        "Squeeze",
    }
)


def convert_model(model: onnx.ModelProto, weights: Weights) -> Any:
    """Return the ``IRModule`` of `model`, which must be folded and checked.

    Its constants share the memory of `weights`.

    Raises
    ------
    ModelError
        A node cannot be converted; the text names it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TVM warns of what is checked here already
        mod = _Importer(model, weights).convert()
        return fold_constants(mod)


class _Importer(ONNXGraphImporter):  # type: ignore[misc]
    """TVM's importer with our converters, named bindings and errors that name the node."""

    def __init__(self, model: onnx.ModelProto, weights: Weights) -> None:
        super().__init__(shape_dict={}, dtype_dict=None, sanitize=True)
        graph = model.graph
        self._weights = weights
        self._graph = graph
        self._version = next(o.version for o in model.opset_import if is_onnx_domain(o.domain))
        self._types = {value.name: value.type for value in (*graph.value_info, *graph.output)}
        self._producers = {output: node for node in graph.node for output in node.output}
        self._converters = _get_convert_map()
        self._node: onnx.NodeProto | None = None
        self._building = False

    def convert(self) -> Any:
        """Convert the graph; every failure names the node at fault."""
        try:
            return self.from_onnx(self._graph, self._version)
        except ModelError:
            self._abandon()
            raise
        except Exception as error:  # TVM raises anything from AssertionError to InternalError
            self._abandon()
            where = "the graph's inputs" if self._node is None else describe(self._node)
            raise ModelError(
                f"cannot import {where}, operator set {self._version}: {_summary(error)}; "
                "the operator is known but not in this form"
            ) from error

    def _abandon(self) -> None:
        """Close what the builder left open, or it complains on stderr when it is destroyed."""
        if self._building:
            self.bb._end_block()
            self.bb.end_scope()

    def _check_for_unsupported_ops(self, graph: Any) -> None:
        """Nothing: ``check`` has done it, per domain."""

    def _sanitize_name(self, name: str) -> str:
        return str(self._name_supply.fresh_name(_identifier(name)))

    def _parse_graph_initializers(self, graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            self._nodes[tensor.name] = constant(self._weights.array(tensor))

    def _construct_nodes(self, graph: onnx.GraphProto) -> None:
        self._building = True
        for node in graph.node:
            self._node = node
            results = self._results(self._convert_node(node), node)
            for name, result in zip(node.output, results, strict=False):
                if name:
                    self._compare(node, name, result)
                    self._nodes[name] = result
        self._node = None

    def _convert_node(self, node: onnx.NodeProto) -> Any:
        attributes = {a.name: _attribute_value(a) for a in node.attribute}
        inputs = [self._nodes[name] if name else None for name in node.input]
        if node.op_type not in _TAKES_SHAPE:
            inputs = [self._as_tensor(value) for value in inputs]
        own = CONVERTERS.get(node.op_type) if is_onnx_domain(node.domain) else None
        if own is not None:
            tensors = tuple(self._as_tensor(value) for value in inputs)
            result = own(self._context(node, tensors, attributes))
            if result is not None:
                return self.bb.normalize(result)
        attributes["tvm_custom"] = {"name": node.name, "num_outputs": len(node.output)}
        method = self._converters[node.op_type].get_converter(self._version)
        result = method(self.bb, onnx_input(inputs), attributes, [self._nodes, self._params])
        if isinstance(result, relax.Tuple) or not isinstance(result, relax.Expr):
            return result  # to normalise a tuple would name its fields
        return self.bb.normalize(result)

    def _context(
        self, node: onnx.NodeProto, inputs: tuple[Any, ...], attributes: dict[str, Any]
    ) -> NodeContext:
        producer = self._producers.get(node.input[0]) if node.input else None
        softplus = producer is not None and producer.op_type == "Softplus"
        return NodeContext(
            node=node,
            inputs=inputs,
            attributes=attributes,
            opset=self._version,
            dims=dims_of(self._types.get(node.output[0])),
            softplus_input=self._nodes[producer.input[0]] if softplus and producer else None,
        )

    def _as_tensor(self, value: Any) -> Any:
        if value is not None and isinstance(value.ty, relax.ShapeType):
            return self.bb.emit(relax.op.shape_to_tensor(value))
        return value

    def _results(self, value: Any, node: onnx.NodeProto) -> list[Any]:
        """Emit `value` under the names of the node's outputs, one binding each."""
        names = [_identifier(name) for name in node.output]
        if isinstance(value, relax.Tuple):
            fields = list(value.fields)
        elif isinstance(value.ty, relax.TupleType):
            whole = self.bb.emit(value, _identifier(node.name))
            fields = [relax.TupleGetItem(whole, i) for i in range(len(names))]
        else:
            fields = [value]
        if len(fields) < len(names):
            raise UnsupportedOperatorError(
                f"{describe(node)} has {len(names)} outputs; TVM's importer gives {len(fields)}"
            )
        return [
            self.bb.emit(field, name)
            if isinstance(field, tvm.ir.Call | relax.TupleGetItem)
            else field
            for field, name in zip(fields, names, strict=False)
        ]

    def _compare(self, node: onnx.NodeProto, name: str, result: Any) -> None:
        """Refuse a result whose shape or type is not the one that ONNX infers."""
        expected = self._types.get(name)
        if expected is None or not isinstance(result.ty, relax.TensorType):
            return
        dims, got = dims_of(expected), dims_of_expr(result)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(expected.tensor_type.elem_type).name
        if dtype_of(result) != dtype or (None not in (dims, got) and dims != got):
            raise UnsupportedOperatorError(
                f"{describe(node)} is imported wrongly by TVM: got {dtype_of(result)}"
                f"{list(got or ())} for '{name}', expected {dtype}{list(dims or ())}"
            )


def _attribute_value(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    is_message = hasattr(value, "DESCRIPTOR")
    return value if isinstance(value, int | float | bytes) or is_message else tuple(value)


def _identifier(name: str) -> str:
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return text if text[:1].isalpha() or text[:1] == "_" else f"v_{text}"


def _summary(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else "no message"
    return f"{type(error).__name__}: {text[:300]}"
