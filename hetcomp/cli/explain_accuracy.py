"""`hetcomp explain --accuracy`: errors of a quantised model, and the operators behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.output import print_json, print_table, progress_bar

if TYPE_CHECKING:
    from hetcomp.quantize import AccuracyReport, Deviation, Search, TaskAccuracy

__all__ = ["explain_accuracy"]

_COLUMNS = ("task", "kind", "value", "rounded to", "SQNR dB", "max error / max")
_NUMBERS = _COLUMNS[-2:]
_NAMES_SHOWN = 8


def explain_accuracy(
    model: Path, reference: Path, inputs: Path, seconds: float, *, as_json: bool
) -> None:
    """Print how far a compiled file is from its float model.

    Parameters
    ----------
    model
        The compiled file.
    reference
        The float ONNX model.
    inputs
        Samples to compare on.
    seconds
        Limit of the search for operators; 0: none.
    as_json
        Whether to print JSON.
    """
    from hetcomp.quantize import accuracy_report

    with progress_bar() as progress:
        report = accuracy_report(model, reference, inputs, progress, seconds)
    if as_json:
        print_json(_json(report))
        return
    title = f"{model}: error against {reference} in float32, {report.samples} samples of {inputs}"
    print_table(title, _COLUMNS, [_row(task) for task in report.tasks], right=_NUMBERS)
    _print_quantization(report)
    for name, deviation in report.outputs.items():
        sqnr, error = _cells(deviation)
        click.echo(f"output {name} of this file: SQNR {sqnr} dB, max error / max {error}")
    if report.search:
        _print_search(report.search, report.quantization.keep_float)


def _row(task: TaskAccuracy) -> tuple[str, ...]:
    rounded = "8 bits" if task.quantized else "float"
    value = (task.value, rounded) if task.value else ("-", "-")
    return (task.task, task.kind, *value, *_cells(task.deviation))


def _cells(deviation: Deviation | None) -> tuple[str, str]:
    if deviation is None:
        return ("-", "-")
    return (f"{deviation.sqnr_db:.1f}", f"{deviation.relative_error:.2e}")


def _print_quantization(report: AccuracyReport) -> None:
    record = report.quantization
    click.echo(f"quantised on {record.samples} samples")
    by_reason: dict[str, list[str]] = {}
    for name in record.floats:
        by_reason.setdefault(record.exclusions.get(name, "as asked for"), []).append(name)
    for why, names in by_reason.items():
        click.echo(f"{len(names)} operators in float: {why}: {_some(names)}")


def _some(names: list[str]) -> str:
    """The first of many names; --json has all."""
    listed = ", ".join(names[:_NAMES_SHOWN])
    return listed if len(names) <= _NAMES_SHOWN else f"{listed}, …"


def _print_search(search: Search, kept: tuple[str, ...]) -> None:
    click.echo(
        f"outputs together: SQNR {search.all_db:.1f} dB; tried {search.trials} networks on "
        f"{search.samples} samples in {search.seconds:.0f} s: {search.stopped}"
    )
    if not search.culprits:
        return
    rows = [
        (found.name, found.kind, f"{found.alone_db:.1f}", f"{found.left_db:.1f}")
        for found in search.culprits
    ]
    columns = ("operator", "kind", "it alone dB", "without it dB")
    print_table("operators that lose most", columns, rows, right=columns[2:])
    click.echo(
        "it alone: SQNR of the outputs with this operator alone in 8 bits; without it: with this "
        "one and those above it in float"
    )
    names = ",".join((*kept, *(found.name for found in search.culprits)))
    click.echo(f"to leave them in float: hetcomp compile --calibrate F.npz --keep-float {names}")


def _json(report: AccuracyReport) -> dict[str, Any]:
    record, search = report.quantization, report.search
    return {
        "samples": report.samples,
        "calibration_samples": record.samples,
        "keep_float": record.keep_float,
        "exclusions": record.exclusions,
        "tasks": [
            {
                "task": task.task,
                "kind": task.kind,
                "value": task.value or None,
                "quantized": task.quantized,
                **_deviation_json(task.deviation),
            }
            for task in report.tasks
        ],
        "outputs": {name: _deviation_json(found) for name, found in report.outputs.items()},
        "search": None if search is None else _search_json(search),
    }


def _deviation_json(found: Deviation | None) -> dict[str, float | None]:
    """Null is no value, or an infinite one: without error."""
    if found is None:
        return {"sqnr_db": None, "max_relative_error": None, "max_error": None}
    return {
        "sqnr_db": found.sqnr_db,
        "max_relative_error": found.relative_error,
        "max_error": found.max_error,
    }


def _search_json(search: Search) -> dict[str, Any]:
    return {
        "all_db": search.all_db,
        "stopped": search.stopped,
        "trials": search.trials,
        "samples": search.samples,
        "seconds": search.seconds,
        "operators": [
            {
                "name": found.name,
                "kind": found.kind,
                "alone_db": found.alone_db,
                "left_db": found.left_db,
            }
            for found in search.culprits
        ],
    }
