"""Ranges of a float model's tensors over samples, by ONNX Runtime's calibrator."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator

from hetcomp.errors import ModelError

from .operators import ACTIVATIONS, ARITHMETIC
from .samples import Array

__all__ = ["Ranges", "calibrate"]

Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest value by tensor; those with values that are not finite are left out."""


class _OneSample(CalibrationDataReader):  # type: ignore[misc]
    """Hands one sample to the calibrator."""

    def __init__(self, inputs: Mapping[str, Array]) -> None:
        self._pending: Mapping[str, Array] | None = inputs

    def get_next(self) -> Mapping[str, Array] | None:
        """The sample at the first call and None afterwards."""
        inputs, self._pending = self._pending, None
        return inputs


def calibrate(
    model: onnx.ModelProto,
    samples: Iterable[Mapping[str, Array]],
    progress: Callable[[int], None] = lambda _done: None,
) -> Ranges:
    """Run a float model on samples and note the ranges of what may be quantised.

    Parameters
    ----------
    model
        As `float_model` makes it.
    samples
        Inputs by name, at least one set.
    progress
        Called with the number of samples that are done.

    Raises
    ------
    ModelError
        ONNX Runtime cannot run it on a sample.
    """
    with tempfile.TemporaryDirectory(prefix="hetcomp-") as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path, [*ARITHMETIC, *ACTIVATIONS], str(path.with_stem("augmented")),
            calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
        for done, sample in enumerate(samples, start=1):
            # One by one: what the calibrator has collected it merges and drops after each call.
            try:
                calibrator.collect_data(_OneSample(sample))
            except Exception as error:  # ONNX Runtime has no common base of its exceptions
                raise ModelError(f"ONNX Runtime cannot run sample {done}: {error}") from error
            progress(done)
        found = calibrator.compute_data()
    limits = {name: [end.item() for end in data.range_value] for name, data in found.items()}
    return {name: (low, high) for name, (low, high) in limits.items() if math.isfinite(high - low)}
