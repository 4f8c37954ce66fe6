"""Writes one ONNX graph node by node.

ONNX's own shape inference runs on each node as it is added, so no layer needs a shape formula
and a wrong graph fails at the line that wrote it. Only static shapes and one opset are covered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, shape_inference

from hetcomp.errors import InputError

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]

OPSET = 17
IR_VERSION = 9
# Protobuf refuses messages of 2 GiB; 16 MiB are left for nodes and names.
MAX_WEIGHT_BYTES = 2**31 - 2**24
# Constants up to this many elements are shown to shape inference (targets of Reshape, Resize...).
_MAX_SHAPE_ELEMENTS = 64


class ZooError(InputError):
    """A network that cannot be built as asked; the text says what to change."""


@dataclass(frozen=True)
class Tensor:
    """A value in the graph: its name, static shape and ONNX element type."""

    name: str
    shape: tuple[int, ...]
    dtype: int = onnx.TensorProto.FLOAT


@dataclass(frozen=True)
class Init:
    """The normal distribution that random weights are drawn from."""

    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class Parameter:
    """A weight of the network, known by shape until the model is made."""

    name: str
    shape: tuple[int, ...]
    init: Init


class WeightSource(Protocol):
    """Gives the values of the parameters, asked once for each in the order of the graph."""

    def values(self, parameter: Parameter) -> FloatArray:
        """Return float32 values of the parameter's shape."""


class RandomWeights:
    """Seeded normal weights, drawn in the order in which the graph asks for them."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def values(self, parameter: Parameter) -> FloatArray:
        """Draw the next values."""
        values = self._rng.standard_normal(parameter.shape, dtype=np.float32)
        values *= np.float32(parameter.init.std)
        values += np.float32(parameter.init.mean)
        return values


class StoredWeights:
    """Weights looked up by parameter name, as read from a checkpoint."""

    def __init__(self, tensors: Mapping[str, FloatArray]) -> None:
        self._tensors = tensors

    def values(self, parameter: Parameter) -> FloatArray:
        """Look the values up; raises ZooError if they are missing or do not fit."""
        name, shape = parameter.name, parameter.shape
        if name not in self._tensors:
            raise ZooError(f"the stored weights have no tensor named {name!r}")
        values = np.ascontiguousarray(self._tensors[name], dtype=np.float32)
        if values.shape != shape:
            raise ZooError(f"stored weight {name!r} has shape {values.shape}, expected {shape}")
        return values


class GraphBuilder:
    """Collects nodes, weights, inputs and outputs, then makes the model.

    Names are joined with dots from the open scopes; a repeated name gets a number.

    Parameters
    ----------
    name
        Name of the graph.
    weights
        Where the values of parameters come from.
    """

    def __init__(self, name: str, weights: WeightSource) -> None:
        self.name = name
        self._weights = weights
        self._scopes: list[str] = []
        self._used_names: set[str] = set()
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._parameters: list[Parameter] = []
        self._shape_data: dict[str, onnx.TensorProto] = {}
        self._scalars: dict[float, Tensor] = {}
        self._inputs: list[Tensor] = []
        self._outputs: dict[str, Tensor] = {}
        self._metadata: dict[str, str] = {}
        self._weight_bytes = 0

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix all names made inside with ``name`` and a dot."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def input(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Add a float32 input."""
        tensor = Tensor(name, shape)
        self._inputs.append(tensor)
        return tensor

    def index_input(self, name: str, shape: tuple[int, ...], low: int, high: int) -> Tensor:
        """Add an int64 input; the model's metadata records that values lie in [low, high)."""
        tensor = Tensor(name, shape, onnx.TensorProto.INT64)
        self._inputs.append(tensor)
        self._metadata[range_key(name)] = f"{low}:{high}"
        return tensor

    def output(self, name: str, tensor: Tensor) -> None:
        """Make ``tensor`` an output of the graph under ``name``."""
        self._outputs[name] = tensor

    def parameter(self, name: str, shape: tuple[int, ...], init: Init) -> Tensor:
        """Add a float32 weight; its values are asked for when the model is made."""
        full_name = self._unique(name)
        self._reserve(4 * math.prod(shape))
        self._parameters.append(Parameter(full_name, shape, init))
        return Tensor(full_name, shape)

    def constant(self, name: str, values: Array) -> Tensor:
        """Add a constant that belongs to the architecture, not to its training."""
        array = np.asarray(values)
        self._reserve(array.nbytes)
        return self._add_constant(self._unique(name), array)

    def integers(self, name: str, values: list[int]) -> Tensor:
        """Add a vector of int64, the form in which ONNX takes shapes, axes and pads."""
        return self.constant(name, np.array(values, dtype=np.int64))

    def scalar(self, value: float) -> Tensor:
        """Return the float32 scalar ``value``; equal scalars share one constant."""
        if value not in self._scalars:
            array = np.array(value, dtype=np.float32)
            self._scalars[value] = self._add_constant(f"scalar_{value!r}", array)
        return self._scalars[value]

    def op(self, op_type: str, *inputs: Tensor | None, name: str = "", **attributes: Any) -> Tensor:
        """Add a node with one output; ``None`` leaves an optional input out."""
        return self.op_with_outputs(op_type, *inputs, count=1, name=name, **attributes)[0]

    def op_with_outputs(
        self, op_type: str, *inputs: Tensor | None, count: int, name: str = "", **attributes: Any
    ) -> list[Tensor]:
        """Add a node with ``count`` outputs. The default name is the operator's."""
        node_name = self._unique(name or op_type.lower())
        outputs = [node_name] if count == 1 else [f"{node_name}.{i}" for i in range(count)]
        input_names = [tensor.name if tensor else "" for tensor in inputs]
        node = helper.make_node(op_type, input_names, outputs, name=node_name, **attributes)
        self._nodes.append(node)
        return self._infer(node, [tensor for tensor in inputs if tensor])

    def model(self) -> onnx.ModelProto:
        """Make the model out of everything added so far; call it once, at the end."""
        self._rename_outputs()
        weights = [
            numpy_helper.from_array(self._weights.values(parameter), parameter.name)
            for parameter in self._parameters
        ]
        outputs = [Tensor(name, t.shape, t.dtype) for name, t in self._outputs.items()]
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [_value_info(tensor) for tensor in self._inputs],
            [_value_info(tensor) for tensor in outputs],
            [*self._constants, *weights],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="hetcomp.bench.zoo"
        )
        helper.set_model_props(model, self._metadata)
        return model

    def _unique(self, name: str) -> str:
        full_name = ".".join([*self._scopes, name])
        candidate = full_name
        number = 1
        while candidate in self._used_names:
            candidate = f"{full_name}_{number}"
            number += 1
        self._used_names.add(candidate)
        return candidate

    def _reserve(self, size_bytes: int) -> None:
        self._weight_bytes += size_bytes
        if self._weight_bytes > MAX_WEIGHT_BYTES:
            raise ZooError(
                f"network {self.name!r}: its weights pass the 2 GB limit of one ONNX file; "
                "ask for a smaller width or size"
            )

    def _add_constant(self, name: str, values: Array) -> Tensor:
        proto = numpy_helper.from_array(values, name)
        self._constants.append(proto)
        if values.size <= _MAX_SHAPE_ELEMENTS:
            self._shape_data[name] = proto
        return Tensor(name, values.shape, proto.data_type)

    def _infer(self, node: onnx.NodeProto, inputs: list[Tensor]) -> list[Tensor]:
        try:
            types = shape_inference.infer_node_outputs(
                onnx.defs.get_schema(node.op_type, OPSET, ""),
                node,
                {t.name: helper.make_tensor_type_proto(t.dtype, t.shape) for t in inputs},
                {t.name: self._shape_data[t.name] for t in inputs if t.name in self._shape_data},
                opset_imports=[helper.make_opsetid("", OPSET)],
                ir_version=IR_VERSION,
            )
        except shape_inference.InferenceError as error:
            raise _shape_error(node, inputs, str(error)) from error
        outputs = [_typed(name, types[name]) for name in node.output]
        if any(min(output.shape, default=1) < 1 for output in outputs):
            raise _shape_error(node, inputs, f"got output {outputs[0].shape}")
        return outputs

    def _rename_outputs(self) -> None:
        new_names = {tensor.name: name for name, tensor in self._outputs.items()}
        for node in self._nodes:
            renamed_inputs = [new_names.get(name, name) for name in node.input]
            renamed_outputs = [new_names.get(name, name) for name in node.output]
            node.input[:] = renamed_inputs
            node.output[:] = renamed_outputs


def range_key(input_name: str) -> str:
    """Return the metadata key that holds the legal range of an integer input."""
    return f"zoo.range.{input_name}"


def _value_info(tensor: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, tensor.dtype, tensor.shape)


def _typed(name: str, proto: onnx.TypeProto) -> Tensor:
    shape = tuple(dim.dim_value for dim in proto.tensor_type.shape.dim)
    return Tensor(name, shape, proto.tensor_type.elem_type)


def _shape_error(node: onnx.NodeProto, inputs: list[Tensor], problem: str) -> ZooError:
    shapes = ", ".join(str(tensor.shape) for tensor in inputs)
    return ZooError(
        f"node {node.name!r} ({node.op_type}) cannot take inputs {shapes}: {problem}; ask for a "
        "larger size, or one that the network's strides divide (32 for most detectors)"
    )
