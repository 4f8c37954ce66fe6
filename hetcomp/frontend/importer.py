"""``import_onnx``: the frontend's steps in order."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from tvm import relax

from hetcomp.errors import InternalError
from hetcomp.frontend.bind import bind_shapes
from hetcomp.frontend.check import check_model
from hetcomp.frontend.convert import convert_model
from hetcomp.frontend.fold import fold_model
from hetcomp.frontend.load import load_model
from hetcomp.frontend.spec import ImportedModel, TensorSpec
from hetcomp.frontend.weights import Weights
from hetcomp.passes.relax_values import static_dims

__all__ = ["import_onnx"]


def import_onnx(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> ImportedModel:
    """Import an ONNX model as a static Relax module.

    Parameters
    ----------
    model
        Path of an ``.onnx`` file (external data is read from beside it), the bytes of one, or a
        ``ModelProto``, which is not changed.
    shapes
        Input name to shape, for inputs with open dimensions.

    Returns
    -------
    ImportedModel
        The Relax module, the signature in ONNX names, and the folded ONNX model.

    Raises
    ------
    ModelError
        The model is missing, malformed or not ONNX.
    UnsupportedOperatorError
        Operators that cannot be run, or would be computed wrongly; all are listed.
    ShapeError
        A dimension is open and not given, or a given shape does not fit.

    Examples
    --------
    >>> from onnx import parser
    >>> text = '<ir_version: 8, opset_import: ["" : 17]> g (float[n] x) => (float[n] y) {'
    >>> imported = import_onnx(parser.parse_model(text + "y = Relu(x) }"), shapes={"x": (4,)})
    >>> print(imported.outputs[0])
    y: float32[4]
    """
    weights = Weights()
    source = load_model(model, weights)
    bind_shapes(source, shapes or {})
    folded = fold_model(source, weights)
    check_model(folded, weights)
    mod = convert_model(folded, weights)
    stem = Path(model).stem if isinstance(model, str | os.PathLike) else "model"
    return ImportedModel(
        mod=mod,
        inputs=tuple(_input_spec(value) for value in folded.graph.input),
        outputs=_output_specs(folded, mod),
        model=folded,
        name=source.graph.name or stem,
        weights=weights,
    )


def _input_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    dims = tuple(dim.dim_value for dim in kind.shape.dim)
    return TensorSpec(value.name, dims, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name)


def _output_specs(model: onnx.ModelProto, mod: Any) -> tuple[TensorSpec, ...]:
    """Take shapes and types from the Relax function: they are what will be computed."""
    values = model.graph.output
    body = mod["main"].ret_ty
    kinds = [body] if len(values) == 1 else list(body.fields)
    if len(kinds) != len(values):
        raise InternalError(f"the import has {len(kinds)} outputs, the model {len(values)}")
    return tuple(_output_spec(value, kind) for value, kind in zip(values, kinds, strict=True))


def _output_spec(value: onnx.ValueInfoProto, kind: Any) -> TensorSpec:
    if not isinstance(kind, relax.TensorType):
        raise InternalError(f"output '{value.name}' is a {type(kind).__name__}, not a tensor")
    dims = static_dims(kind)
    if dims is None:  # the extents depend on the data: keep what ONNX knows
        known = value.type.tensor_type.shape.dim
        dims = tuple(dim.dim_value or -1 for dim in known) or (-1,) * max(kind.ndim, 0)
    return TensorSpec(value.name, dims, str(kind.dtype.dtype))
