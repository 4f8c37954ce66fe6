"""`quantized`: the step of a compilation from a float import to one in QDQ form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hetcomp.frontend import ImportedModel, import_onnx
from hetcomp.options import CompileOptions

from .exclusions import exclusions
from .float_model import digest, float_model
from .operators import check_names, operators
from .ranges import calibrate
from .record import Quantization
from .samples import Samples

__all__ = ["QuantizedImport", "quantized"]


@dataclass(frozen=True)
class QuantizedImport:
    """A model in QDQ form, and how it came by that."""

    imported: ImportedModel
    record: Quantization


def quantized(
    imported: ImportedModel, options: CompileOptions, progress: Callable[[str, float], None]
) -> QuantizedImport:
    """Calibrate and quantise an imported float model.

    Parameters
    ----------
    imported
        The float model.
    options
        `calibrate` names the samples, `keep_float` operators to leave in float.
    progress
        Called with a text and the part of the samples that is done.

    Raises
    ------
    InputError
        The model is quantised already, or an operator is unknown.
    FeedError
        The samples do not fit the model.
    """
    model = float_model(imported)
    check_names(options.keep_float, operators(model))
    samples = Samples(options.calibrate, imported.inputs)
    total = len(samples)
    ranges = calibrate(
        model, samples, lambda done: progress(f"calibrate: {done} of {total} samples", done / total)
    )
    record = Quantization(
        digest(model), total, options.keep_float, exclusions(model, ranges), ranges
    )
    found = import_onnx(record.again(model))
    return QuantizedImport(found, record)
