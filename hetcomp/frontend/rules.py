"""Forms of supported operators that TVM 0.27 computes wrongly without a word.

Found by the ONNX backend tests (``findings-kernels.md``); each rule looks at one node and returns
why it is refused, or None.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from hetcomp.frontend.values import Values

__all__ = ["RULES", "NodeFacts"]


@dataclass(frozen=True)
class NodeFacts:
    """A node with its attributes, and what is known of its tensors."""

    node: onnx.NodeProto
    values: Values

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attribute values; strings are bytes."""
        return {a.name: onnx.helper.get_attribute_value(a) for a in self.node.attribute}

    def has(self, index: int) -> bool:
        """Whether input `index` is present."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def constant(self, index: int) -> np.ndarray | None:
        """Return the value of input `index` if it is constant."""
        return self.values.array(self.node.input[index]) if self.has(index) else None

    def dims(self, index: int) -> tuple[int, ...] | None:
        """Return the extents of input `index`."""
        return self.values.dims(self.node.input[index]) if self.has(index) else None

    def dtype(self, index: int) -> str:
        """Return the element type of input `index`, "" where it is unknown."""
        kind = self.values.types.get(self.node.input[index])
        if kind is None:
            return ""
        return str(onnx.helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type).name)

    def run_time(self, *indices: int) -> int | None:
        """Return the first of `indices` that is present and not constant."""
        return next((i for i in indices if self.has(i) and self.constant(i) is None), None)


def _resize(facts: NodeFacts) -> str | None:
    attributes, dims = facts.attributes, facts.dims(0)
    mode = attributes.get("mode", b"nearest").decode(errors="replace")
    transform = attributes.get("coordinate_transformation_mode", b"half_pixel")
    transform = transform.decode(errors="replace")
    if attributes.get("antialias", 0):
        return "antialias=1 is ignored by TVM"
    if mode == "cubic" and attributes.get("exclude_outside", 0):
        return "mode=cubic with exclude_outside=1 is computed wrongly"
    if attributes.get("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        return "keep_aspect_ratio_policy is ignored by TVM"
    if transform in ("half_pixel_symmetric", "tf_crop_and_resize"):
        return f"coordinate_transformation_mode={transform} is not supported"
    if dims is None or len(dims) != 4:
        return f"only 4-D inputs are supported, got shape {dims}"
    return _resize_extents(facts, dims)


def _resize_extents(facts: NodeFacts, dims: tuple[int, ...]) -> str | None:
    """TVM scales by out / in, which is not the given scale where the extent was rounded."""
    index = 1 if facts.values.opset < 11 else 2
    if facts.run_time(1, 2, 3) is not None:
        return "scales, sizes or roi that are known at run time only are not supported"
    target = facts.values.dims(facts.node.output[0])
    if target is None or target[:2] != dims[:2]:
        return "resizing batch or channels is not supported"
    scales = facts.attributes.get("scales", facts.constant(index))
    if scales is None or np.size(scales) == 0:
        return None
    if np.size(scales) != 4:
        return "scales for a part of the axes are not supported"
    exact = np.asarray(scales, np.float64) * dims
    if np.any(np.abs(exact - target) > 1e-3):
        return f"scales {list(scales)} of {list(dims)} give fractional extents; give sizes instead"
    return None


def _conv_transpose(facts: NodeFacts) -> str | None:
    attributes = facts.attributes
    if "output_shape" in attributes:
        return f"output_shape={list(attributes['output_shape'])} cannot be met by padding"
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return "auto_pad with a stride greater than the kernel is not supported"
    return None


def _roi_align(facts: NodeFacts) -> str | None:
    if facts.attributes.get("mode", b"avg") == b"max":
        return "mode=max is computed wrongly; mode=avg is supported"
    return None


def _non_max_suppression(facts: NodeFacts) -> str | None:
    index = facts.run_time(2, 3, 4)
    if index is None:
        return None
    return f"input {index} is known at run time only; TVM would use a default instead"


def _one_output(facts: NodeFacts) -> str | None:
    if not any(facts.node.output[1:]):
        return None
    return f"its output '{facts.node.output[1]}' is used; TVM computes the first output only"


def _batch_norm(facts: NodeFacts) -> str | None:
    if facts.attributes.get("training_mode", 0):
        return "training_mode=1 is not supported"
    return _one_output(facts)


def _quantize(facts: NodeFacts) -> str | None:
    if facts.attributes.get("block_size", 0):
        return "blocked quantisation (block_size) is not supported"
    return None


def _run_time(index: int) -> Callable[[NodeFacts], str | None]:
    """Refuse input `index` unless it is constant: the result's shape would depend on data."""

    def rule(facts: NodeFacts) -> str | None:
        if facts.run_time(index) is None:
            return None
        name = facts.node.input[index]
        return f"input {index} ('{name}') is known at run time only, and the shape depends on it"

    return rule


def _bit_shift(facts: NodeFacts) -> str | None:
    amount = facts.constant(1)
    if amount is None:
        return "shifts known at run time only are not supported: TVM does not bound them"
    if amount.size and not (amount.min() >= 0 and amount.max() < amount.dtype.itemsize * 8):
        return "a shift is negative, or not less than the width of the type"
    return None


def _mod(facts: NodeFacts) -> str | None:
    if facts.attributes.get("fmod", 0) or "float" not in facts.dtype(0):
        return None
    return "fmod=0 on floating-point values is computed wrongly for infinities"


def _pow(facts: NodeFacts) -> str | None:
    if "float" in facts.dtype(0) or "float" in facts.dtype(1):
        return None
    exponent = facts.constant(1)
    if exponent is not None and exponent.size == 1 and 2 <= int(exponent.reshape(-1)[0]) <= 4:
        return None
    return "integer powers other than constant 2, 3 and 4 are not supported"


def _not_bool(facts: NodeFacts) -> str | None:
    return "bool is not supported" if facts.dtype(0) == "bool" else None


def _top_k(facts: NodeFacts) -> str | None:
    if facts.dtype(0) in ("float32", "float64", "float16", "int32", "int64", "int8", "uint8"):
        return _run_time(1)(facts)
    return f"element type {facts.dtype(0)} is not supported"


def _pad(facts: NodeFacts) -> str | None:
    index = facts.run_time(1, 2, 3)
    if index is None:
        return None
    return f"input {index} ('{facts.node.input[index]}') is known at run time only"


def _dropout(facts: NodeFacts) -> str | None:
    return "training mode, or a used mask, is not supported"


RULES: dict[str, Callable[[NodeFacts], str | None]] = {
    "BatchNormalization": _batch_norm,
    "BitShift": _bit_shift,
    "ConstantOfShape": _run_time(0),
    "ConvTranspose": _conv_transpose,
    "DequantizeLinear": _quantize,
    "Dropout": _dropout,
    "Expand": _run_time(1),
    "LayerNormalization": _one_output,
    "MaxPool": _one_output,
    "Mod": _mod,
    "NonMaxSuppression": _non_max_suppression,
    "Pad": _pad,
    "Pow": _pow,
    "QuantizeLinear": _quantize,
    "ReduceMax": _not_bool,
    "ReduceMin": _not_bool,
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "TopK": _top_k,
    "Upsample": _resize,
}
