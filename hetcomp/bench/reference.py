"""Compare outputs with ONNX Runtime's on the same inputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetcomp.errors import InternalError, ModelError

__all__ = ["TOLERANCE", "OutputError", "compare", "reference_outputs", "relative_error"]

TOLERANCE = 1e-4
"""Largest max|a-b| / max|b| that counts as equal: float32 sums in another order stay below."""


Array = NDArray[Any]


@dataclass(frozen=True)
class OutputError:
    """How far one output is from the reference."""

    name: str
    max_relative_error: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.max_relative_error <= TOLERANCE


def reference_outputs(
    model: str | os.PathLike[str], feeds: Mapping[str, Array]
) -> dict[str, Array]:
    """Run `model` in ONNX Runtime on one thread.

    Raises
    ------
    ModelError
        ONNX Runtime cannot load or run the model on these inputs.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(os.fspath(model), options, ["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:  # ONNX Runtime has no common base of its exceptions
        where = f"model '{os.fspath(model)}'"
        raise ModelError(f"{where}: ONNX Runtime cannot run it here: {error}") from error


def compare(ours: Mapping[str, Array], reference: Mapping[str, Array]) -> tuple[OutputError, ...]:
    """Relative error of every output of the reference."""
    missing = sorted(set(reference) - set(ours))
    if missing:
        raise InternalError(f"output '{missing[0]}' of the model is missing in the compiled one")
    return tuple(
        OutputError(name, relative_error(ours[name], expected))
        for name, expected in reference.items()
    )


def relative_error(ours: Array, expected: Array) -> float:
    """max|a-b| / max|b|; infinite where shapes or the places of NaN and infinity differ."""
    if ours.shape != expected.shape:
        return float("inf")
    a, b = ours.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return float("inf")
    a, b = a[finite], b[finite]
    if not np.isfinite(a).all():
        return float("inf")
    if a.size == 0:
        return 0.0
    difference, scale = float(np.abs(a - b).max()), float(np.abs(b).max())
    return difference / scale if scale > 0.0 else difference
