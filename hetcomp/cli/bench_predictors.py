"""`hetcomp bench predictors`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar
from hetcomp.errors import InputError

if TYPE_CHECKING:
    from hetcomp.bench.predictors import ErrorRow

__all__ = ["predictors"]

_COLUMNS = ("device", "model", "from µs", "samples", "MAPE", "median", "within 10%", "in 10..90%")
_PATH = click.Path(path_type=Path)
_LEAST_US = (0.0, 50.0)


@click.command()
@click.option("--profile", type=_PATH, help="What `hetcomp profile` measured.")
@click.option("--phones", type=_PATH, help="CSV of operators of phones' GPUs.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@command_options
def predictors(
    profile: Path | None, phones: Path | None, folds: int, seed: int, as_json: bool
) -> None:
    """Errors of kernel time predictions on shapes that were not trained on; measures nothing.

    Trains in folds that never part the samples of a shape. Errors are relative to measured times.
    """
    from hetcomp.bench.predictors import phone_errors, profile_errors
    from hetcomp.cost.booster import TrainOptions
    from hetcomp.cost.profile_file import load_profile

    if profile is None and phones is None:
        raise InputError("nothing to predict: give --profile, --phones or both")
    options = TrainOptions(seed=seed)
    rows: list[ErrorRow] = []
    with progress_bar() as progress:
        if phones is not None:
            rows += phone_errors(phones, options, folds, progress)
        if profile is not None:
            progress("this device", 0.0)
            rows += profile_errors(load_profile(profile), _LEAST_US, options, folds)
    if as_json:
        print_json({"folds": folds, "seed": seed, "rows": [row.to_json() for row in rows]})
    else:
        _print(rows)


def _print(rows: list[ErrorRow]) -> None:
    cells = [
        (
            row.device,
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
    print_table("errors on shapes not seen", _COLUMNS, cells, right=_COLUMNS[2:])
