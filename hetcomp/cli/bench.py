"""`hetcomp bench`: the group, and `models`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.bench_layers import layers
from hetcomp.cli.common import FAILED, command_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar, split_names

if TYPE_CHECKING:
    from hetcomp.bench.models import BenchOptions, Row
    from hetcomp.bench.networks import Results
    from hetcomp.bench.summary import ModelSummary

__all__ = ["bench"]

_MODELS = "mobilenetv1,resnet18,squeezenet"
# fmt: off
_COLUMNS = (
    "model", "plan", "ran", "threads", "median ms", "p10 ms", "p99 ms", "n",
    "/ onnxruntime", "p10..p90", "/ 1 thread", "max rel. error",
)
# fmt: on


@click.group()
def bench() -> None:
    """Measure what this project claims."""


bench.add_command(layers)


@bench.command()
@click.option(
    "--models", default=_MODELS, show_default=True, help="Zoo networks, by comma, or all."
)
@click.option("--plan", "plans", default="cpu,gpu,auto", show_default=True, help="Plans, by comma.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--against", default="onnxruntime", show_default=True, help="Peers, by comma.")
@click.option("--size", type=click.IntRange(min=1), help="Pixels, or tokens; else as published.")
@click.option("--qdq", is_flag=True, help="Networks quantised to int8 (QDQ form).")
@click.option("--exact", is_flag=True, help="Without Winograd's method.")
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Bars of ratios: F.png, F.svg, F.pdf."
)
@click.option("--quick", is_flag=True, help="Fewer samples, at most 5 s a network.")
@click.option(
    "--lock", type=click.Path(path_type=Path),
    help="Hold this file, and real-time priority if allowed, while timing.",
)  # fmt: skip
@command_options
def models(
    models: str,
    plans: str,
    threads: int,
    against: str,
    size: int | None,
    qdq: bool,
    exact: bool,
    plot: Path | None,
    quick: bool,
    lock: Path | None,
    as_json: bool,
) -> None:
    """Time whole networks against ONNX Runtime, in turns; ratios below 1 are faster."""
    from hetcomp.bench import zoo
    from hetcomp.bench.bars import plot_ratios
    from hetcomp.bench.environment import environment
    from hetcomp.bench.models import QUICK, BenchOptions, bench_models
    from hetcomp.bench.roofline import check_plot
    from hetcomp.bench.timing import TimingOptions

    options = BenchOptions(
        models=zoo.names() if models == "all" else split_names(models),
        plans=split_names(plans),
        threads=threads,
        against=split_names(against),
        size=size,
        qdq=qdq,
        exact=exact,
        timing=QUICK if quick else TimingOptions(),
        lock=lock,
    )
    if plot:
        check_plot(plot)
    where = environment()
    with progress_bar() as progress:
        results = bench_models(options, progress)
    if plot:
        plot_ratios(plot, results.rows)
    if as_json:
        print_json({"environment": where.to_json(), **_data(options, results)})
    else:
        _print(results)
    if results.failed:
        sys.exit(FAILED)


def _data(options: BenchOptions, results: Results[Row]) -> dict[str, Any]:
    from dataclasses import asdict

    from hetcomp.bench.summary import summarize_models

    return {
        "options": {**asdict(options), "lock": str(options.lock) if options.lock else None},
        "summary": [summary.to_json() for summary in summarize_models(results.rows)],
        "failed": [asdict(failure) for failure in results.failed],
        "rows": [row.to_json() for row in results.rows],
    }


def _print(results: Results[Row]) -> None:
    from hetcomp.bench.summary import summarize_models

    rows = results.rows
    print_table("", _COLUMNS, map(_cells, rows), right=_COLUMNS[3:])
    for reason in sorted({row.why_no_gpu for row in rows if row.why_no_gpu}):
        click.echo(f"OpenCL device not used: {reason}")
    for summary in summarize_models(rows):
        click.echo(_line(summary))
    for failure in results.failed:
        click.echo(f"{failure.model} failed: {failure.error}", err=True)


def _line(summary: ModelSummary) -> str:
    threads = f"{summary.cpu_threads} CPU thread{'s' if summary.cpu_threads > 1 else ''}"
    return (
        f"{summary.plan}, {threads}: {summary.ratio_to_onnxruntime:.3f} of ONNX Runtime's time "
        f"(geometric mean of {summary.networks}), of its 1-thread time "
        f"{summary.ratio_to_onnxruntime_1_thread:.3f}; worst {summary.worst_model} "
        f"{summary.worst_ratio:.3f}"
    )


def _cells(row: Row) -> tuple[str, ...]:
    spread = f"{number(row.ratio_p10, 2)}..{number(row.ratio_p90, 2)}"
    error = "-" if row.max_relative_error is None else f"{row.max_relative_error:.1e}"
    return (
        row.model,
        row.plan,
        row.ran_plan,
        str(row.cpu_threads),
        number(row.median_ms, 3),
        number(row.p10_ms, 3),
        number(row.p99_ms, 3),
        str(row.n),
        number(row.ratio_to_onnxruntime, 3),
        spread,
        number(row.ratio_to_onnxruntime_1_thread, 3),
        error,
    )
