"""Accuracy of a compiled file against the float model it was made of."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from hetcomp.errors import InputError
from hetcomp.frontend import import_onnx
from hetcomp.runtime import load, read_image

from .accuracy import deviations
from .deviation import Deviation, DeviationSum
from .float_model import float_model
from .network import Network
from .record import KEY, Quantization
from .samples import Samples
from .search import Limits, Search, find_culprits
from .task_values import task_values

__all__ = ["AccuracyReport", "TaskAccuracy", "accuracy_report"]

SEARCH_SAMPLES = 4
"""Samples on which operators are searched for: the first ones."""


@dataclass(frozen=True)
class TaskAccuracy:
    """Error of what a task computes.

    Attributes
    ----------
    task, kind
        Of the compiled file.
    value
        The float model's tensor; empty where the task computes none of it.
    quantized
        Whether its last step is rounding to 8 bits.
    deviation
        None where there is no value.
    """

    task: str
    kind: str
    value: str
    quantized: bool
    deviation: Deviation | None


@dataclass(frozen=True)
class AccuracyReport:
    """Errors against the float model.

    Attributes
    ----------
    samples
        Number of samples.
    quantization
        How the file was made.
    tasks
        Errors of the tasks' values, computed by ONNX Runtime from the same quantised model.
    outputs
        Errors of the compiled file's own outputs, computed by running it here.
    search
        Operators that lose accuracy; None where they were not asked for.
    """

    samples: int
    quantization: Quantization
    tasks: tuple[TaskAccuracy, ...]
    outputs: Mapping[str, Deviation]
    search: Search | None


def accuracy_report(
    compiled: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    inputs: str | os.PathLike[str],
    progress: Callable[[str, float], None],
    search_seconds: float = Limits.seconds,
) -> AccuracyReport:
    """Compare a compiled file with the float model it was made of.

    Parameters
    ----------
    compiled
        A model.so that was compiled with calibration data.
    reference
        The float ONNX model.
    inputs
        Samples to compare on, in the form of calibration data.
    progress
        Called with a text and the part that is done.
    search_seconds
        Limit of the search for operators that lose accuracy; 0: none.

    Raises
    ------
    InputError
        The file was not quantised by us or is of another model, or the samples do not fit.
    """
    image = read_image(compiled)
    if KEY not in image.build:
        raise InputError(
            f"'{os.fspath(compiled)}' was not compiled with --calibrate: there is no float model "
            "to compare it with"
        )
    record = Quantization.from_json(image.build[KEY])
    graph = image.graph
    shapes = {graph.tensors[i].name: graph.tensors[i].shape for i in graph.inputs}
    imported = import_onnx(reference, shapes=shapes)
    model = float_model(imported)
    record.check(model)
    samples = Samples(inputs, imported.inputs)
    again = record.again(model)
    values = task_values(model, again, [task.source for task in graph.tasks])
    total = len(samples)
    found = deviations(
        model,
        again,
        (value for value in values if value is not None),
        samples,
        lambda done: progress(f"compare tasks: {done} of {total} samples", 0.3 * done / total),
    )
    tasks = tuple(
        TaskAccuracy(task.name, task.kind, "", False, None)
        if value is None
        else TaskAccuracy(task.name, task.kind, value.float_name, value.quantized, found[value])
        for task, value in zip(graph.tasks, values, strict=True)
    )
    progress("compare outputs", 0.35)
    outputs = _outputs(Path(compiled), model, samples)
    search = None
    if search_seconds > 0.0:
        search = find_culprits(
            model,
            record.ranges,
            record.floats,
            list(itertools.islice(samples, SEARCH_SAMPLES)),
            lambda text, part: progress(text, 0.4 + 0.6 * part),
            Limits(seconds=search_seconds),
        )
    return AccuracyReport(total, record, tasks, outputs, search)


def _outputs(path: Path, model: onnx.ModelProto, samples: Samples) -> dict[str, Deviation]:
    network = Network(model)
    sums = {name: DeviationSum() for name in network.outputs}
    with load(path, quiet=True) as session:
        for sample in samples:
            expected, got = network.run(sample, network.outputs), session.run(sample)
            for name, total in sums.items():
                total.add(expected[name], got[name])
    return {name: total.result() for name, total in sums.items()}
