"""`hetcomp bench predictors`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.common import FAILED, command_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar
from hetcomp.errors import InputError

if TYPE_CHECKING:
    from hetcomp.bench.network_times import NetworkTime
    from hetcomp.bench.networks import Results
    from hetcomp.bench.predictors import ErrorRow

__all__ = ["predictors"]

_COLUMNS = ("model", "from µs", "samples", "MAPE", "median", "within 10%", "in 10..90%")
_PATH = click.Path(path_type=Path)
_LEAST_US = (0.0, 50.0)
_CLOSE_PERCENT = 8.0
_NETWORK_COLUMNS = ("network", "plan", "measured ms", "predicted ms", "error", "planned in s")


@click.command()
@click.option("--profile", type=_PATH, help="What `hetcomp profile` measured.")
@click.option("--phones", type=_PATH, help="CSV of operators of phones' GPUs.")
@click.option(
    "--networks", type=_PATH,
    help="What `hetcomp bench models --json` printed: predict these networks by --profile.",
)  # fmt: skip
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@command_options
def predictors(
    profile: Path | None,
    phones: Path | None,
    networks: Path | None,
    folds: int,
    seed: int,
    as_json: bool,
) -> None:
    """Errors of kernel time predictions on shapes that were not trained on; measures nothing.

    Trains in folds that never part the samples of a shape. Errors are relative to measured times.
    """
    from hetcomp.bench.network_times import measured_networks, network_times
    from hetcomp.bench.networks import Results
    from hetcomp.bench.predictors import phone_errors, prediction_us, profile_errors
    from hetcomp.cost.booster import TrainOptions
    from hetcomp.cost.profile_file import load_profile
    from hetcomp.cost.training import with_models

    if profile is None and (phones is None or networks is not None):
        raise InputError("nothing to predict by: give --profile, or --phones alone")
    options = TrainOptions(seed=seed)
    rows: list[ErrorRow] = []
    one_us: float | None = None
    times: Results[NetworkTime] = Results((), ())
    with progress_bar() as progress:
        if phones is not None:
            rows += phone_errors(phones, options, folds, progress)
        if profile is not None:
            progress("this device", 0.0)
            device = load_profile(profile)
            rows += profile_errors(device, _LEAST_US, options, folds)
            device = device if device.models else with_models(device, options)
            one_us = prediction_us(device)
            if networks is not None:
                times = network_times(device, measured_networks(networks), progress)
    if as_json:
        data: dict[str, Any] = {"folds": folds, "seed": seed, "prediction_us": one_us}
        data |= {"rows": [row.to_json() for row in rows]}
        failed = [asdict(failure) for failure in times.failed]
        print_json({**data, "networks": [row.to_json() for row in times.rows], "failed": failed})
    else:
        _print(rows)
        if one_us is not None:
            click.echo(f"one prediction in a batch: {one_us:.1f} µs")
        _print_networks(times)
    if times.failed:
        sys.exit(FAILED)


def _print(rows: list[ErrorRow]) -> None:
    for device in dict.fromkeys(row.device for row in rows):
        click.echo(f"device: {device}")
        _print_errors([row for row in rows if row.device == device])


def _print_errors(rows: list[ErrorRow]) -> None:
    cells = [
        (
            row.model,
            number(row.least_us, 0),
            str(row.errors.samples),
            *(
                f"{number(value, 1)}%"
                for value in (
                    row.errors.mape_percent,
                    row.errors.median_percent,
                    row.errors.within_10_percent,
                    row.errors.between_percent,
                )
            ),
        )
        for row in rows
    ]
    print_table("errors on shapes not seen", _COLUMNS, cells, right=_COLUMNS[1:])


def _print_networks(times: Results[NetworkTime]) -> None:
    if not times.rows and not times.failed:
        return
    cells = [
        (
            row.model,
            row.plan,
            number(row.measured_ms, 2),
            number(row.predicted_ms, 2),
            f"{row.error_percent:+.1f}%",
            number(row.planning_s, 2),
        )
        for row in times.rows
    ]
    print_table("whole networks", _NETWORK_COLUMNS, cells, right=_NETWORK_COLUMNS[2:])
    for plan in sorted({row.plan for row in times.rows}):
        errors = [abs(row.error_percent) for row in times.rows if row.plan == plan]
        close = sum(error <= _CLOSE_PERCENT for error in errors)
        click.echo(f"{plan}: {close} of {len(errors)} within {_CLOSE_PERCENT:.0f}%")
    for failure in times.failed:
        click.echo(f"failed: {failure.model}: {failure.error}", err=True)
