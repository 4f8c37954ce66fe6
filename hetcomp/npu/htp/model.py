"""A region as an ONNX model in QDQ form, which is what Qualcomm's compiler reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hetcomp.errors import InternalError
from hetcomp.npu.refused import Refused
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.table import NpuStep

from .grids import Grid
from .layers import (
    Array,
    Clip,
    Float,
    Layer,
    Linear,
    MaxPool,
    Requantise,
    Window,
    WindowLayer,
    sources_of,
    tensor_name,
)

__all__ = ["port_name", "region_model"]

_MAP_RANK = 4
_OPSET = 17
_SAME = 1e-4
_IR_VERSION = 8
_TO_CHANNELS_FIRST = (0, 3, 1, 2)
_TO_CHANNELS_LAST = (0, 2, 3, 1)
_TYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}


def port_name(graph: TaskGraph, tensor: int) -> str:
    """Name of a region's input or output in its model."""
    name = tensor_name(tensor)
    return f"{name}.nhwc" if len(graph.tensors[tensor].shape) == _MAP_RANK else name


def region_model(
    graph: TaskGraph, step: NpuStep, layers: Sequence[Layer], grids: Mapping[str, Grid]
) -> onnx.ModelProto:
    """The model of a region.

    Parameters
    ----------
    graph, step
        The region: its inputs and outputs, which have the model's order and shapes.
    layers
        Of its tasks, in order.
    grids
        Of all bytes of them.

    Raises
    ------
    Refused
        It shares floats that are half of a sum with a task that is not in it.
    """
    writer = _Writer(graph, grids)
    inputs = [writer.enter(tensor) for tensor in step.inputs]
    for layer in layers:
        writer.layer(layer)
    outputs = [writer.leave(tensor) for tensor in step.outputs]
    model = helper.make_model(
        helper.make_graph(writer.nodes, "region", inputs, outputs, writer.initializers()),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(model)
    return model


class _Writer:
    """Maps are NHWC outside of the model and NCHW within."""

    def __init__(self, graph: TaskGraph, grids: Mapping[str, Grid]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._graph, self._grids = graph, grids
        self._constants: dict[str, Array] = {}
        self._floats: dict[str, Float] = {}
        self._known: set[str] = set()  # bytes

    def initializers(self) -> list[onnx.TensorProto]:
        """All constants."""
        return [numpy_helper.from_array(a, name) for name, a in self._constants.items()]

    def enter(self, tensor: int) -> onnx.ValueInfoProto:
        """Begin with an input."""
        outer, name = port_name(self._graph, tensor), tensor_name(tensor)
        if self._graph.tensors[tensor].dtype != "uint8":
            raise Refused("it reads floats that a task in another region makes")
        self._known.add(name)
        if outer != name:
            self._move(outer, name, name, _TO_CHANNELS_FIRST)
        return self._info(outer, tensor)

    def leave(self, tensor: int) -> onnx.ValueInfoProto:
        """End with an output."""
        outer, name = port_name(self._graph, tensor), tensor_name(tensor)
        if name in self._floats:
            self._leave_float(self._floats[name], outer)
        elif outer != name:
            self._move(name, outer, name, _TO_CHANNELS_LAST)
        return self._info(outer, tensor)

    def _leave_float(self, layer: Float, outer: str) -> None:
        grid, source = self._grids[layer.source], layer.source
        same_scale = abs(grid.scale - layer.scale) <= _SAME * layer.scale
        if not same_scale or grid.zero_point != layer.zero_point:
            raise Refused("a task in another region reads its floats")
        if outer != layer.name:
            self._move(source, f"{outer}.bytes", source, _TO_CHANNELS_LAST)
        self._dequantise(source if outer == layer.name else f"{outer}.bytes", source, outer)

    def layer(self, layer: Layer) -> None:
        """Append one layer."""
        if not self._known.issuperset(sources_of(layer)):
            raise Refused("it reads floats that a task in another region makes")
        self._known.add(layer.name)
        if isinstance(layer, WindowLayer):
            self._window(layer)
        elif isinstance(layer, Linear):
            self._linear(layer)
        elif isinstance(layer, MaxPool):
            self._unit("MaxPool", layer.name, [layer.source], **_window(layer.window))
        elif isinstance(layer, Clip):
            self._clip(layer)
        elif isinstance(layer, Requantise):
            self._requantise(layer)
        else:
            assert isinstance(layer, Float)
            self._floats[layer.name] = layer

    def _window(self, layer: WindowLayer) -> None:
        extra = self._weights(layer, layer.weights, layer.bias)
        attributes = {**_window(layer.window), "group": layer.groups}
        self._unit("Conv", layer.name, [layer.source], extra, **attributes)

    def _linear(self, layer: Linear) -> None:
        """As a product of matrices, the leading axes joined."""
        zero = self._grids[layer.source].zero_point
        total = layer.weights.sum(axis=0, dtype=np.int64)
        bias = (layer.bias + zero * total).astype(np.int32)
        extra = self._weights(layer, layer.weights.T, bias)
        shape = self._source_shape(layer.source)
        if len(shape) == 2:
            return self._unit("Gemm", layer.name, [layer.source], extra, transB=1)
        rows, columns = f"{layer.name}.rows", layer.weights.shape[1]
        self._reshape(layer.source, rows, (-1, shape[-1]))
        made = f"{layer.name}.product"
        self._unit("Gemm", layer.name, [layer.source], extra, [rows], made, transB=1)
        self._reshape(layer.name, layer.name, (*shape[:-1], columns), source=made)
        return None

    def _source_shape(self, name: str) -> tuple[int, ...]:
        for index, tensor in enumerate(self._graph.tensors):
            if tensor_name(index) == name:
                return tensor.shape
        raise InternalError(f"a matrix product reads {name}, which is no tensor")

    def _reshape(
        self, grid: str, target: str, shape: Sequence[int], source: str | None = None
    ) -> None:
        self._constant(f"{target}.shape", np.asarray(shape, np.int64))
        self._unit(
            "Reshape", grid, [grid], [f"{target}.shape"], sources=[source or grid], target=target
        )

    def _clip(self, layer: Clip) -> None:
        grid = self._grids[layer.source]
        for side, limit in (("low", layer.low), ("high", layer.high)):
            number = np.float32(grid.scale * (limit - grid.zero_point))
            self._constant(f"{layer.name}.{side}", number)
        limits = [f"{layer.name}.low", f"{layer.name}.high"]
        self._unit("Clip", layer.name, [layer.source], limits)

    def _requantise(self, layer: Requantise) -> None:
        sources = [term.source for term in layer.terms]
        if len(sources) > 1:
            return self._unit("Add", layer.name, sources)
        self._dequantise(sources[0], sources[0], f"{layer.name}.float")
        return self._quantise(f"{layer.name}.float", layer.name, layer.name)

    def _weights(self, layer: WindowLayer | Linear, weights: Array, bias: Array) -> list[str]:
        """Dequantised weights, output channels first, and bias."""
        name = layer.name
        source, made = self._grids[layer.source].scale, self._grids[name].scale
        scale = np.asarray(layer.factor * made / source, np.float32)
        along = {} if scale.ndim == 0 else {"axis": 0}
        self._constant(f"{name}.weights", np.ascontiguousarray(weights))
        self._constant(f"{name}.weights.scale", scale)
        self._constant(f"{name}.weights.zero", np.zeros(scale.shape, np.int8))
        self._constant(f"{name}.bias", bias)
        self._constant(f"{name}.bias.scale", np.asarray(scale * np.float32(source), np.float32))
        self._constant(f"{name}.bias.zero", np.zeros(scale.shape, np.int32))
        for part in ("weights", "bias"):
            inputs = [f"{name}.{part}", f"{name}.{part}.scale", f"{name}.{part}.zero"]
            self._node("DequantizeLinear", inputs, f"{name}.{part}.float", **along)
        return [f"{name}.weights.float", f"{name}.bias.float"]

    def _move(self, source: str, target: str, grid: str, perm: tuple[int, ...]) -> None:
        """Bytes in another order of axes."""
        self._unit("Transpose", grid, [grid], sources=[source], target=target, perm=perm)

    def _unit(
        self,
        op: str,
        grid: str,
        source_grids: Sequence[str],
        extra: Sequence[str] = (),
        sources: Sequence[str] | None = None,
        target: str | None = None,
        **attributes: Any,
    ) -> None:
        """An operator between `DequantizeLinear` and `QuantizeLinear`, as the compiler wants it.

        `grid` and `source_grids` are the bytes whose grids output and inputs have; they are called
        `target` and `sources` where these are not their names.
        """
        name = target or grid
        inputs = [f"{name}.{op}{position}" for position in range(len(source_grids))]
        for made, source, of in zip(inputs, sources or source_grids, source_grids, strict=True):
            self._dequantise(source, of, made)
        self._node(op, [*inputs, *extra], f"{name}.{op}", **attributes)
        self._quantise(f"{name}.{op}", grid, name)

    def _dequantise(self, source: str, grid: str, target: str) -> None:
        self._node("DequantizeLinear", [source, *self._grid(grid)], target)

    def _quantise(self, source: str, grid: str, target: str) -> None:
        self._node("QuantizeLinear", [source, *self._grid(grid)], target)

    def _grid(self, name: str) -> list[str]:
        grid = self._grids[name]
        self._constant(f"{name}.scale", np.float32(grid.scale))
        self._constant(f"{name}.zero", np.uint8(grid.zero_point))
        return [f"{name}.scale", f"{name}.zero"]

    def _node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))

    def _constant(self, name: str, array: Any) -> None:
        self._constants[name] = np.asarray(array)

    def _info(self, name: str, tensor: int) -> onnx.ValueInfoProto:
        kind = self._graph.tensors[tensor]
        return helper.make_tensor_value_info(name, _TYPES[kind.dtype], kind.shape)


def _window(window: Window) -> dict[str, Any]:
    return {
        "kernel_shape": window.kernel,
        "strides": window.strides,
        "dilations": window.dilations,
        "pads": window.pads,
    }
