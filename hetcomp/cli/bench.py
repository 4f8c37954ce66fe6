"""`hetcomp bench`: the group, and `models`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.bench_frames import frames
from hetcomp.cli.bench_layers import layers
from hetcomp.cli.bench_options import Asked, network_options
from hetcomp.cli.bench_planner import planner
from hetcomp.cli.bench_predictors import predictors
from hetcomp.cli.bench_sustained import sustained as run_sustained
from hetcomp.cli.bench_sync import sync
from hetcomp.cli.common import FAILED, refuse_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar, split_names

if TYPE_CHECKING:
    from hetcomp.bench.model_rows import Row
    from hetcomp.bench.models import BenchOptions
    from hetcomp.bench.networks import Results
    from hetcomp.bench.summary import GainSummary, ModelSummary, PeerSummary

__all__ = ["bench"]

_MODELS = "mobilenetv1,resnet18,squeezenet"
_NOT_SUSTAINED = ("plans", "threads", "profile", "against", "quick", "rpc")
"""Parameters without a meaning for `--sustained`: its arms, threads and time are given."""
_NOT_THERE = ("against", "plot")
"""The same for `--rpc`."""
# fmt: off
_COLUMNS = (
    "model", "plan", "ran", "threads", "median ms", "p10 ms", "p99 ms", "n",
    "/ onnxruntime", "p10..p90", "/ 1 thread", "/ best peer", "gain", "p10..p90",
    "max rel. error", "load ms", "first ms",
)
# fmt: on


@click.group()
def bench() -> None:
    """Measure what this project claims."""


bench.add_command(frames)
bench.add_command(layers)
bench.add_command(planner)
bench.add_command(predictors)
bench.add_command(sync)


@bench.command()
@click.option("--plan", "plans", default="cpu,gpu,auto", show_default=True, help="Plans, by comma.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--profile", default="", metavar="F.json",
    help="Device profile of this machine, by which auto is compiled.",
)  # fmt: skip
@click.option(
    "--sustained", type=click.FloatRange(min=0.0, min_open=True), metavar="MIN",
    help="Instead: latency over so many minutes while other work comes and goes, adapting or "
    "not; --lock is held while compiling alone.",
)  # fmt: skip
@click.option(
    "--rpc", default="", metavar="HOST:PORT[,KEY]",
    help="Ours on the board where hetcomp_rpc runs, timed by its clock and verified here.",
)  # fmt: skip
@network_options(models=_MODELS, plot="Bars of ratios", quick="5 s")
def models(
    asked: Asked, plans: str, threads: int, profile: str, sustained: float | None, rpc: str
) -> None:
    """Time whole networks against other engines, in turns; ratios below 1 are faster.

    The gain is over the better of CPU, on one thread, and OpenCL device: above 1 is faster.
    """
    if sustained is not None:
        refuse_options(_NOT_SUSTAINED, "not with --sustained")
        run_sustained(asked, sustained)
        return
    if rpc:
        refuse_options(_NOT_THERE, "not with --rpc: a board has our engine only")
    from hetcomp.bench.bars import plot_ratios
    from hetcomp.bench.environment import environment
    from hetcomp.bench.models import QUICK, BenchOptions, bench_models
    from hetcomp.bench.roofline import check_plot
    from hetcomp.bench.timing import TimingOptions
    from hetcomp.remote import Remote

    common = asked.fields(TimingOptions(), QUICK)
    if rpc:
        common["against"] = ()
    options = BenchOptions(
        plans=split_names(plans), threads=threads, profile=profile, rpc=rpc, **common
    )
    if asked.plot:
        check_plot(asked.plot)
    where = environment(Remote.parse(rpc) if rpc else None)
    with progress_bar() as progress:
        results = bench_models(options, progress)
    if asked.plot:
        plot_ratios(asked.plot, results.rows)
    if asked.as_json:
        print_json({"environment": where.to_json(), **_data(options, results)})
    else:
        _print(results)
    if results.failed:
        sys.exit(FAILED)


def _data(options: BenchOptions, results: Results[Row]) -> dict[str, Any]:
    from dataclasses import asdict

    from hetcomp.bench.summary import summarize_gains, summarize_models, summarize_peers

    return {
        "options": options.to_json(),
        "summary": [summary.to_json() for summary in summarize_models(results.rows)],
        "peers": [summary.to_json() for summary in summarize_peers(results.rows)],
        "gains": [summary.to_json() for summary in summarize_gains(results.rows)],
        "failed": [asdict(failure) for failure in results.failed],
        "rows": [row.to_json() for row in results.rows],
    }


def _print(results: Results[Row]) -> None:
    from hetcomp.bench.summary import summarize_gains, summarize_models, summarize_peers

    rows = results.rows
    print_table("", _COLUMNS, map(_cells, rows), right=_COLUMNS[3:])
    for reason in sorted({row.why_no_gpu for row in rows if row.why_no_gpu}):
        click.echo(f"OpenCL device not used: {reason}")
    for summary in summarize_models(rows):
        click.echo(_line(summary))
    for peers in summarize_peers(rows):
        click.echo(_peer_line(peers))
    for gained in summarize_gains(rows):
        click.echo(_gain_line(gained))
    for failure in results.failed:
        click.echo(f"{failure.model} failed: {failure.error}", err=True)


def _threads(count: int) -> str:
    return f"{count} CPU thread{'s' if count > 1 else ''}"


def _peer_line(summary: PeerSummary) -> str:
    return (
        f"{summary.plan}, {_threads(summary.cpu_threads)}: {summary.ratio_to_best_peer:.3f} of the "
        f"fastest engine's time (geometric mean of {summary.networks}); worst "
        f"{summary.worst_model} {summary.worst_ratio:.3f}"
    )


def _line(summary: ModelSummary) -> str:
    return (
        f"{summary.plan}, {_threads(summary.cpu_threads)}: {summary.ratio_to_onnxruntime:.3f} of "
        f"ONNX Runtime's time (geometric mean of {summary.networks}), of its 1-thread time "
        f"{summary.ratio_to_onnxruntime_1_thread:.3f}; worst {summary.worst_model} "
        f"{summary.worst_ratio:.3f}"
    )


def _gain_line(summary: GainSummary) -> str:
    return (
        f"{summary.plan}: {summary.gain_over_best_single:.3f}x over the better single processor "
        f"(geometric mean of {summary.networks}); worst {summary.worst_model} "
        f"{summary.worst_gain:.3f}x"
    )


def _cells(row: Row) -> tuple[str, ...]:
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
        _spread(row.ratio_p10, row.ratio_p90),
        number(row.ratio_to_onnxruntime_1_thread, 3),
        number(row.ratio_to_best_peer, 3),
        number(row.gain_over_best_single, 3),
        _spread(row.gain_p10, row.gain_p90),
        error,
        number(row.load_ms, 0),
        number(row.first_run_ms, 1),
    )


def _spread(low: float | None, high: float | None) -> str:
    return f"{number(low, 2)}..{number(high, 2)}"
