"""Refuse values whose extents are known only while the model runs: arenas are planned ahead.

A function, not a pass: an exception that crosses TVM's pass manager loses its type.
"""

from __future__ import annotations

from typing import Any

from tvm import relax

from hetcomp.errors import UnsupportedOperatorError

from .relax_values import static_dims

__all__ = ["require_static_shapes"]


def require_static_shapes(mod: Any) -> None:
    """Check every binding of the module's Relax functions.

    Raises
    ------
    UnsupportedOperatorError
        Names the first value at fault and its operator.
    """
    for function in mod.functions.values():
        if not isinstance(function, relax.Function):
            continue
        for block in function.body.blocks:
            for binding in block.bindings:
                _check(binding)


def _check(binding: Any) -> None:
    if _is_static(binding.var.ty):
        return
    value = binding.value
    operator = getattr(getattr(value, "op", None), "name", type(value).__name__)
    raise UnsupportedOperatorError(
        f"value '{binding.var.name}' ({operator}) has a shape that depends on the data: "
        f"{binding.var.ty}; hetcomp runs static graphs, so cut the model before this value or "
        "replace the operator"
    )


def _is_static(kind: Any) -> bool:
    if isinstance(kind, relax.TupleType):
        return all(_is_static(field) for field in kind.fields)
    return not isinstance(kind, relax.TensorType) or static_dims(kind) is not None
