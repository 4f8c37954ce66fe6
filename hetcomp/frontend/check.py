"""Refuse what cannot be run, or would be wrong: every offending node in one error."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from tvm.relax.frontend.onnx.onnx_frontend import _get_convert_map

from hetcomp.errors import UnsupportedOperatorError
from hetcomp.frontend.converters import CONVERTERS
from hetcomp.frontend.rules import RULES, NodeFacts
from hetcomp.frontend.structure import describe
from hetcomp.frontend.values import Values, is_onnx_domain
from hetcomp.frontend.weights import Weights

__all__ = ["check_model", "supported_operators"]

_MAX_LISTED = 10
_CONTRIB = frozenset(
    {
        "Attention",
        "BiasGelu",
        "DequantizeLinear",
        "EmbedLayerNormalization",
        "FastGelu",
        "Gelu",
        "MatMulInteger16",
        "QuantizeLinear",
        "SkipLayerNormalization",
    }
)
# In TVM's table, but another operator in the standard set, or only there for control flow.
_NOT_STANDARD = frozenset(
    {
        "AllClassNMS",
        "Attention",
        "BiasGelu",
        "EmbedLayerNormalization",
        "FastGelu",
        "MatMulInteger16",
        "SkipLayerNormalization",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceAt",
        "ConcatFromSequence",
        "SplitToSequence",
    }
)
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_DTYPES = frozenset(
    {
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "bfloat16",
        "float32",
        "float64",
    }
)


@dataclass(frozen=True)
class _Refusal:
    """A node that is refused, and why."""

    node: onnx.NodeProto
    reason: str
    opset: int

    def __str__(self) -> str:
        domain = self.node.domain or "ai.onnx"
        return f"{describe(self.node)}, domain {domain}, operator set {self.opset}: {self.reason}"


def supported_operators(domain: str = "") -> frozenset[str]:
    """Return the operators of `domain` that can be imported, some not in every form."""
    if domain == "com.microsoft":
        return _CONTRIB
    if not is_onnx_domain(domain):
        return frozenset()
    return (frozenset(_get_convert_map()) | frozenset(CONVERTERS)) - _NOT_STANDARD


def check_model(model: onnx.ModelProto, weights: Weights) -> None:
    """Raise unless every node of the folded `model` can be converted faithfully.

    Raises
    ------
    UnsupportedOperatorError
        Lists the offending nodes with reasons, at most ten in full.
    """
    values = Values(model, weights)
    for value in (*model.graph.value_info, *model.graph.output):
        values.types.setdefault(value.name, value.type)
    refusals = list(_refusals(model, values))
    if refusals:
        raise UnsupportedOperatorError(_text(refusals))


def _refusals(model: onnx.ModelProto, values: Values) -> Iterator[_Refusal]:
    versions = {o.domain or "ai.onnx": o.version for o in model.opset_import}
    supported = {node.domain: supported_operators(node.domain) for node in model.graph.node}
    for node in model.graph.node:
        opset = versions.get(node.domain or "ai.onnx", 0)
        reason = _reason(node, values, supported[node.domain])
        if reason is not None:
            yield _Refusal(node, reason, opset)


def _reason(node: onnx.NodeProto, values: Values, supported: frozenset[str]) -> str | None:
    if node.op_type in _CONTROL_FLOW:
        return "control flow is not supported, except If with a constant condition"
    if node.op_type not in supported:
        return _unknown(node.op_type, supported)
    dtype = _bad_dtype(node, values)
    if dtype is not None:
        return dtype
    if values.opset < 7 and any(a.name == "broadcast" and a.i for a in node.attribute):
        return "the broadcast attribute of operator set 6 is not supported"
    rule = RULES.get(node.op_type)
    return None if rule is None else rule(NodeFacts(node, values))


def _unknown(op_type: str, supported: frozenset[str]) -> str:
    if not supported:
        return "no operator of this domain is supported"
    spelled = {name.lower(): name for name in sorted(supported)}
    near = difflib.get_close_matches(op_type.lower(), spelled, 3)
    hint = f"; nearest: {', '.join(spelled[name] for name in near)}" if near else ""
    return f"not among the {len(supported)} operators supported in this domain{hint}"


def _bad_dtype(node: onnx.NodeProto, values: Values) -> str | None:
    for name in (*node.input, *node.output):
        kind = values.types.get(name)
        if kind is None:
            continue
        if kind.WhichOneof("value") != "tensor_type":
            return f"'{name}' is a {kind.WhichOneof('value')}; only dense tensors are supported"
        dtype = _dtype_name(kind.tensor_type.elem_type)
        if dtype not in _DTYPES:
            return f"'{name}' has the element type {dtype}, which is not supported"
    return None


def _dtype_name(elem_type: int) -> str:
    if elem_type == onnx.TensorProto.STRING:
        return "string"
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(elem_type).name)
    except KeyError:
        return f"number {elem_type}"


def _text(refusals: list[_Refusal]) -> str:
    count = len(refusals)
    head = f"{count} node{'s are' if count > 1 else ' is'} not supported:"
    lines = [f"  {refusal}" for refusal in refusals[:_MAX_LISTED]]
    if count > _MAX_LISTED:
        lines.append(f"  … and {count - _MAX_LISTED} more")
    tail = (
        "hetcomp.frontend.check.supported_operators() lists what is supported; "
        "export the model without these operators, or with another operator set"
    )
    return "\n".join([head, *lines, tail])
