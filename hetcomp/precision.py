"""What `--precision` means for a model."""

from __future__ import annotations

from hetcomp.errors import InputError
from hetcomp.frontend import ImportedModel

__all__ = ["computes_integers"]


def computes_integers(imported: ImportedModel, precision: str) -> bool:
    """Whether a quantised model is computed on its integers.

    Raises
    ------
    InputError
        Integers are insisted on, but the model is not in QDQ form.
    """
    quantized = any(node.op_type == "DequantizeLinear" for node in imported.model.graph.node)
    if precision == "int8" and not quantized:
        raise InputError(
            f"precision int8 needs a model in QDQ form, but '{imported.name}' has no "
            "DequantizeLinear; quantise it first, or leave precision at auto"
        )
    return precision in ("auto", "int8")
