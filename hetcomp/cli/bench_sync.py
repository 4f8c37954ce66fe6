"""`hetcomp bench sync`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar, split_names

if TYPE_CHECKING:
    from hetcomp.bench.sync_rows import SyncOptions, SyncResults, SyncRow

__all__ = ["sync"]

_COLUMNS = ("tier", "memory", "µs a layer", "p10", "p95", "chain µs", "finish / this", "n")
_PATH = click.Path(path_type=Path)


@click.command()
@click.option(
    "--tiers", default="svm-ahead,svm,event,finish", show_default=True,
    help="By comma; mailbox wants HETCOMP_EXPERIMENTAL=1.",
)  # fmt: skip
@click.option(
    "--rows", type=click.IntRange(1, 4096), default=2, show_default=True,
    help="Rows of the activations: all that is handed over between layers.",
)  # fmt: skip
@click.option(
    "--width", type=click.IntRange(64, 8192), default=512, show_default=True,
    help="Inputs and outputs of a layer.",
)  # fmt: skip
@click.option("--plot", type=_PATH, help="Overheads and latencies: F.png, F.svg, F.pdf.")
@click.option("--quick", is_flag=True, help="Fewer samples.")
@click.option("--lock", type=_PATH, help="Hold this file, at real-time priority if allowed.")
@command_options
def sync(
    tiers: str,
    rows: int,
    width: int,
    plot: Path | None,
    quick: bool,
    lock: Path | None,
    as_json: bool,
) -> None:
    """What waiting for each other costs, by tier: latencies, and overhead a layer.

    Overhead a layer: the time of a chain of eight layers, each cut in two by channels, beyond that
    of its kernels on the processor that is longer busy, divided by eight. All tiers take turns.
    """
    from hetcomp.bench.environment import environment
    from hetcomp.bench.roofline import check_plot
    from hetcomp.bench.sync import bench_sync
    from hetcomp.bench.sync_plot import plot_sync
    from hetcomp.bench.sync_rows import SyncOptions

    options = SyncOptions(tiers=split_names(tiers), rows=rows, width=width, lock=lock)
    options = options.quick() if quick else options
    if plot:
        check_plot(plot)
    where = environment()
    with progress_bar() as progress:
        results = bench_sync(options, progress)
    if plot:
        plot_sync(plot, results)
    if as_json:
        print_json({"environment": where.to_json(), **_data(options, results)})
    else:
        _print(options, results)


def _data(options: SyncOptions, results: SyncResults) -> dict[str, Any]:
    from dataclasses import asdict

    plain = asdict(results)
    return {"options": options.to_json(), **plain, "rows": [row.to_json() for row in results.rows]}


def _print(options: SyncOptions, results: SyncResults) -> None:
    from hetcomp.bench.sync_plot import LATENCY_TEXTS

    print_table("", _COLUMNS, map(_cells, results.rows), right=_COLUMNS[2:])
    layers = results.rows[0].layers
    click.echo(
        f"{layers} layers of {options.rows} x {options.width} x {options.width}; kernels of the "
        f"whole chain, alone: CPU {results.cpu_us.median_us:.1f} µs, OpenCL "
        f"{results.gpu_us.median_us:.1f} µs"
    )
    for tier, why in results.left_out.items():
        click.echo(f"tier {tier} is not to be had here: {why}")
    columns = ("latency", "µs", "p10", "p90", "n")
    found = ((text, results.latencies.get(name)) for name, text in LATENCY_TEXTS.items())
    cells = [
        (text, number(s.median_us, 2), number(s.p10_us, 2), number(s.p90_us, 2), str(s.n))
        for text, s in found
        if s is not None
    ]
    if cells:
        print_table("", columns, cells, right=columns[1:])


def _cells(row: SyncRow) -> tuple[str, ...]:
    return (
        row.tier,
        row.memory,
        number(row.overhead_per_layer_us_median, 2),
        number(row.overhead_per_layer_us_p10, 2),
        number(row.overhead_per_layer_us_p95, 2),
        number(row.chain_us_median, 1),
        number(row.finish_ratio, 1),
        str(row.n),
    )
