"""`hetcomp tune`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar
from hetcomp.cli.shapes import parse_shapes
from hetcomp.errors import InputError
from hetcomp.options import DEVICE_CLASSES

if TYPE_CHECKING:
    from hetcomp.tune.results import State, TaskResult
    from hetcomp.tuning import TuneReport

__all__ = ["tune"]

_COLUMNS = ("task", "uses", "trials", "failed", "default µs", "ratio", "parameters")


@click.command()
@click.argument("paths", metavar="MODEL.onnx", nargs=-1, required=True,
                type=click.Path(path_type=Path))  # fmt: skip
@click.option(
    "--db", "database", required=True, metavar="DB", type=click.Path(path_type=Path),
    help="Data base, lines of JSON; a tuning that was interrupted goes on where it was.",
)  # fmt: skip
@click.option(
    "--trials", default=200, show_default=True, type=click.IntRange(min=1),
    help="Candidates of all tasks together, those in DB included.",
)  # fmt: skip
@click.option(
    "--time-limit", type=float, metavar="SECONDS",
    help="Start no candidate after three quarters of it; confirming may take longer.",
)  # fmt: skip
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "gpu", "both"]), default="auto",
    show_default=True, help="Whose time counts; auto: both where an OpenCL device serves.",
)  # fmt: skip
@click.option(
    "--device-class", type=click.Choice(DEVICE_CLASSES), default="auto", show_default=True,
    help="OpenCL kernels, as in compile; auto: by this machine's device.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["auto", "f32", "int8"]), default="auto",
    show_default=True, help="Arithmetic, as in compile; f16 and bf16 take the winners of f32.",
)  # fmt: skip
@click.option("--exact", is_flag=True, help="Without Winograd's method, as in compile.")
@click.option("--seed", default=0, show_default=True, help="Of the search's random choices.")
@click.option(
    "--rpc", default="", metavar="HOST:PORT[,KEY]",
    help="Measure on the board where hetcomp_rpc runs; with KEY, on one of that tracker.",
)  # fmt: skip
@click.option(
    "--shape", "shapes", multiple=True, metavar="NAME=N,N,...",
    help="Shape of an input with free dimensions; may be given several times.",
)  # fmt: skip
@click.option("--merge", is_flag=True, help="Tune nothing: merge the given data bases into DB.")
@command_options
def tune(
    paths: tuple[Path, ...],
    database: Path,
    trials: int,
    time_limit: float | None,
    device: str,
    device_class: str,
    precision: str,
    exact: bool,
    seed: int,
    rpc: str,
    shapes: tuple[str, ...],
    merge: bool,
    as_json: bool,
) -> None:
    """Search the fastest kernel parameters for MODEL.onnx; compile --tuned DB uses them."""
    if merge:
        _merge(paths, database, as_json)
        return
    if len(paths) > 1:
        raise InputError(f"got {len(paths)} models; tune takes one (or --merge data bases)")
    from hetcomp.tuning import TuneOptions
    from hetcomp.tuning import tune as run_tuning

    options = TuneOptions(
        trials, time_limit, device, seed, rpc, device_class, exact=exact, precision=precision
    )
    with progress_bar() as progress:
        report = run_tuning(
            paths[0],
            database=database,
            shapes=parse_shapes(shapes) or None,
            options=options,
            progress=_shown(progress),
        )
    if as_json:
        print_json(_json(report))
        return
    tuned = [result for result in report.tasks if result.choice]
    title = f"{len(tuned)} of {len(report.tasks)} tasks tuned for {'+'.join(report.processors)}"
    print_table(title, _COLUMNS, map(_row, report.tasks), right=_COLUMNS[1:6])


def _merge(sources: tuple[Path, ...], output: Path, as_json: bool) -> None:
    from hetcomp.tune.database import merge

    count = merge(sources, output)
    if as_json:
        print_json({"db": str(output), "records": count})
    else:
        click.echo(f"{output}: {count} records")


def _shown(progress: Callable[[str, float], None]) -> Callable[[State], None]:
    def report(state: State) -> None:
        best = "" if state.best is None else f", best {state.best:.2f} of the default's time"
        left = "" if state.seconds_left is None else f", {state.seconds_left:.0f} s left"
        text = f"{state.done}/{state.trials} {state.stage} {state.task}{best}{left}"
        progress(text, state.done / state.trials)

    return report


def _row(result: TaskResult) -> tuple[str, ...]:
    winner = result.winner
    default_us = (
        None if winner is None or not winner.default_us else sum(winner.default_us.values())
    )
    return (
        result.task.name,
        str(result.task.uses),
        str(result.trials),
        str(result.failures),
        number(default_us),
        "-" if winner is None else f"{result.ratio:.2f}",
        ", ".join(f"{name}={value}" for name, value in result.choice.items()) or "default",
    )


def _json(report: TuneReport) -> dict[str, Any]:
    return {
        "device": report.device,
        "processors": list(report.processors),
        "trials": sum(result.trials for result in report.tasks),
        "tasks": [
            {
                "task": result.task.name,
                "what": result.task.what,
                "uses": result.task.uses,
                "trials": result.trials,
                "failures": result.failures,
                "tuned": bool(result.choice),
                "ratio": result.winner.ratio if result.winner else None,
                "default_us": dict(result.winner.default_us) if result.winner else {},
                "choice": dict(result.choice),
            }
            for result in report.tasks
        ],
    }
