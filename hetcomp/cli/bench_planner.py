"""`hetcomp bench planner`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.common import FAILED, command_options, refuse_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar, split_names
from hetcomp.cli.what_if import parse_overheads, show_what_if

if TYPE_CHECKING:
    from hetcomp.bench.networks import Results
    from hetcomp.bench.planner_rows import PlannerOptions, PlannerRow, PlannerSummary

__all__ = ["planner"]

# fmt: off
_COLUMNS = (
    "network", "layer", "kernel", "MFLOP", "cpu µs", "gpu µs", "plan", "plan µs", "predicted",
    "search's best", "its µs", "gain", "its gain", "share", "tickets", "their gain", "cache",
)
# fmt: on
_PATH = click.Path(path_type=Path)
_MEASURING = (
    *("models", "layers", "kinds", "min_mflop", "tiers"),
    *("plot", "quick", "lock", "records"),
)


@click.command()
@click.option("--models", default="all", show_default=True, help="Zoo networks, by comma, or all.")
@click.option(
    "--layers", type=click.IntRange(min=0), default=64, show_default=True,
    help="Distinct layers, spread over their work; 0 takes all.",
)  # fmt: skip
@click.option("--kinds", default="linear,conv2d", show_default=True, help="By comma; depthwise.")
@click.option("--min-mflop", type=click.FloatRange(min=0.0), default=2.0, show_default=True)
@click.option(
    "--tier", "tiers", default="svm-ahead", show_default=True,
    help="By comma, as svm-ahead,svm,event,finish: a table and a summary for each.",
)  # fmt: skip
@click.option("--plot", type=_PATH, help="Gains, predicted against measured: F.png, F.svg, F.pdf.")
@click.option("--quick", is_flag=True, help="Fewer samples.")
@click.option("--lock", type=_PATH, help="Hold this file, at real-time priority if allowed.")
@click.option("--records", type=_PATH, help="Keep rows in this file; those in it are not repeated.")
@click.option(
    "--profile", type=_PATH,
    help="Plan by this device profile, not by measured times. Or operators' times of another "
    "device: what splits would gain there; measures nothing.",
)  # fmt: skip
@click.option(
    "--overheads", default="0,7,50,162,1000", show_default=True,
    help="Microseconds a split operator, by comma; with operators' times as --profile.",
)  # fmt: skip
@command_options
def planner(
    models: str,
    layers: int,
    kinds: str,
    min_mflop: float,
    tiers: str,
    plot: Path | None,
    quick: bool,
    lock: Path | None,
    records: Path | None,
    profile: Path | None,
    overheads: str,
    as_json: bool,
) -> None:
    """The planner's share of a layer against an exhaustive search over shares, measured.

    The search takes the kernel's natural tiles along rows and channels, at most 64 cuts an axis and
    then all cuts next to the best ones. Without --profile a layer is planned by the measured times
    of it and of its halves; with it by predictions alone, and only then kernel_mape_percent, the
    error of either processor's predicted time, is not null.

    Copies of a layer run after each other, enqueued ahead: a layer's time contains launching and
    synchronisation, not waking the device. Gains are over the better single processor; those that
    caches may have part in are marked, and left out of the largest.
    """
    from hetcomp.bench import zoo
    from hetcomp.bench.environment import environment
    from hetcomp.bench.planner import bench_planner
    from hetcomp.bench.planner_plot import plot_planner
    from hetcomp.bench.planner_rows import PlannerOptions
    from hetcomp.bench.roofline import check_plot
    from hetcomp.cost.operator_times import OperatorTimes, load_any_profile

    known = load_any_profile(profile) if profile else None
    if isinstance(known, OperatorTimes):
        refuse_options(_MEASURING, "nothing is measured by a list of operators' times")
        show_what_if(known, parse_overheads(overheads), as_json=as_json)
        return
    refuse_options(("overheads",), "needs a list of operators' times as --profile")
    options = PlannerOptions(
        models=zoo.names() if models == "all" else split_names(models),
        layers=layers,
        kinds=split_names(kinds),
        min_mflop=min_mflop,
        tiers=split_names(tiers),
        quick=quick,
        lock=lock,
        records=records,
        profile=known,
    )
    if plot:
        check_plot(plot)
    where = environment()
    with progress_bar() as progress:
        results = bench_planner(options, progress)
    if plot and results.rows:
        plot_planner(plot, results.rows)
    if as_json:
        print_json({"environment": where.to_json(), **_data(options, results)})
    else:
        _print(options, results)
    if results.failed:
        sys.exit(FAILED)


def _data(options: PlannerOptions, results: Results[PlannerRow]) -> dict[str, Any]:
    from dataclasses import asdict

    from hetcomp.bench.planner_rows import summarize

    tiers = [summary.to_json() for summary in summarize(results.rows)]
    return {
        "options": options.to_json(),
        "summary": tiers[0] if tiers else {},
        "tiers": tiers,
        "failed": [asdict(failure) for failure in results.failed],
        "rows": [row.to_json() for row in results.rows],
    }


def _print(options: PlannerOptions, results: Results[PlannerRow]) -> None:
    from hetcomp.bench.planner_rows import summarize

    source = "the device profile" if options.profile else "measured times of it and of its halves"
    click.echo(f"each layer is planned alone, by {source}")
    for summary in summarize(results.rows):
        rows = [_cells(row) for row in results.rows if row.tier == summary.tier]
        print_table(f"tier {summary.tier}", _COLUMNS, rows, right=_COLUMNS[3:6])
        click.echo(_text(summary))
    for failure in results.failed:
        click.echo(f"{failure.model} failed: {failure.error}", err=True)


def _text(summary: PlannerSummary) -> str:
    kernels = summary.kernel_mape_percent
    lines = (
        f"{summary.tier}: {summary.layers} layers; the plan takes "
        f"{100 * summary.share_of_oracle_mean:.1f}% of the search's speed-up in the mean (median "
        f"{100 * summary.share_of_oracle_median:.1f}%, least "
        f"{100 * summary.share_of_oracle_min:.1f}%)",
        f"gain: {summary.speedup_plan_mean:.3f}x of {summary.speedup_oracle_mean:.3f}x in the "
        f"mean, {summary.speedup_plan_median:.3f}x of {summary.speedup_oracle_median:.3f}x in the "
        f"median, tickets {number(summary.speedup_tickets_mean, 3)}x",
        f"largest: linear {number(summary.speedup_max_linear, 3)}x, convolution "
        f"{number(summary.speedup_max_conv, 3)}x without the {summary.cache_effects} layers with a "
        "cache effect",
        f"{summary.slower} layers more than 2% slower than the better processor; worst "
        f"{summary.worst_speedup:.3f}x, {summary.worst_layer}",
        f"error of the plans' predicted times {summary.plan_mape_percent:.1f}%"
        + (f", of either processor alone {kernels:.1f}%" if kernels is not None else ""),
    )
    return "\n  ".join(lines)


def _cells(row: PlannerRow) -> tuple[str, ...]:
    return (
        row.model,
        row.text,
        row.variant if row.variant != "direct" else row.kind,
        number(row.mflop, 1),
        number(row.cpu_us, 1),
        number(row.gpu_us, 1),
        row.plan,
        number(row.plan_us, 1),
        number(row.plan_predicted_us, 1),
        row.oracle,
        number(row.oracle_us, 1),
        f"{row.speedup_plan:.3f}x",
        f"{row.speedup_oracle:.3f}x",
        f"{100 * row.share_of_oracle:.1f}%",
        row.tickets,
        "-" if row.speedup_tickets is None else f"{row.speedup_tickets:.3f}x",
        "cache" if row.cache_effect else "",
    )
