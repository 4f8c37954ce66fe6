"""What `hetcomp bench models --sustained` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.bench_options import Asked
from hetcomp.cli.common import FAILED
from hetcomp.cli.output import number, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from hetcomp.bench.networks import Results
    from hetcomp.bench.sustained import SustainedOptions, SustainedRun
    from hetcomp.bench.sustained_rows import PhaseRow

__all__ = ["sustained"]

_COLUMNS = (
    "model", "phase", "arm", "median ms", "mean ms", "p90 ms", "n",
    "/ best static", "mean / best", "settled after", "plans",
)  # fmt: skip


def sustained(asked: Asked, minutes: float) -> None:
    """Run, plot and print."""
    from hetcomp.bench.environment import environment
    from hetcomp.bench.roofline import check_plot
    from hetcomp.bench.sustained import SustainedOptions, bench_sustained
    from hetcomp.bench.sustained_plot import plot_sustained
    from hetcomp.bench.timing import TimingOptions

    usual = TimingOptions()
    options = SustainedOptions(minutes=minutes, **asked.fields(usual, usual))
    if asked.plot:
        check_plot(asked.plot)
    where = environment()
    with progress_bar() as progress:
        results = bench_sustained(options, progress)
    if asked.plot and results.rows:
        plot_sustained(asked.plot, results.rows)
    if asked.as_json:
        print_json({"environment": where.to_json(), **_data(options, results)})
    else:
        _print(results)
    if results.failed:
        sys.exit(FAILED)


def _data(options: SustainedOptions, results: Results[SustainedRun]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "options": options.to_json(),
        "failed": [asdict(failure) for failure in results.failed],
        "rows": [row.to_json() for run in results.rows for row in run.rows],
        "runs": [
            {
                "model": run.model,
                "switches": [asdict(switch) for switch in run.switches],
                "inferences": [asdict(one) for one in run.inferences],
            }
            for run in results.rows
        ],
    }


def _print(results: Results[SustainedRun]) -> None:
    rows = [row for run in results.rows for row in run.rows]
    print_table("", _COLUMNS, map(_cells, rows), right=_COLUMNS[3:10])
    for run in results.rows:
        for switch in run.switches:
            what = f"{switch.from_plan} -> {switch.to_plan}"
            click.echo(f"{run.model}, inference {switch.run}: {what}: {switch.reason}")
    for failure in results.failed:
        click.echo(f"{failure.model} failed: {failure.error}", err=True)


def _cells(row: PhaseRow) -> tuple[str, ...]:
    plans = sorted(row.plans.items(), key=lambda item: -item[1])
    settled = "never" if row.settled_after is None else str(row.settled_after)
    return (
        row.model,
        f"{row.phase + 1} {row.load}",
        row.arm,
        number(row.median_ms, 2),
        number(row.mean_ms, 2),
        number(row.p90_ms, 2),
        str(row.n),
        number(row.ratio_to_best_static, 3),
        number(row.mean_ratio, 3),
        settled,
        ", ".join(f"{name} {count}" for name, count in plans[:3]),
    )
