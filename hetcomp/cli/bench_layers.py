"""`hetcomp bench layers`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.bench_options import Asked, network_options
from hetcomp.cli.common import FAILED
from hetcomp.cli.output import number, print_json, print_table, progress_bar, split_names

if TYPE_CHECKING:
    from hetcomp.bench.layer_rows import LayerRow, LayersOptions
    from hetcomp.bench.layers import LayersReport
    from hetcomp.bench.summary import LayerSummary

__all__ = ["layers"]

# fmt: off
_COLUMNS = (
    "network", "layer", "computes", "kernel", "on", "x", "MFLOP", "µs", "p10..p90",
    "GFLOP/s", "of peak", "GB/s", "onnxruntime µs", "/ onnxruntime",
)
# fmt: on


@click.command()
@click.option("--processor", "processors", default="cpu,gpu", show_default=True, help="By comma.")
@click.option("--min-mflop", type=click.FloatRange(min=0.0), default=0.0, show_default=True)
@click.option("--all", "memory_bound", is_flag=True, help="Also layers without multiply-adds.")
@network_options(models="all", plot="Roofline plot", quick="3 s")
def layers(asked: Asked, processors: str, min_mflop: float, memory_bound: bool) -> None:
    """GFLOP/s and share of the measured peak of every distinct layer, beside ONNX Runtime's time.

    Layers are timed in place, inside whole networks, on one CPU thread or on the OpenCL device.
    Ratios below 1 are faster than ONNX Runtime on one CPU thread.
    """
    from hetcomp.bench.environment import environment
    from hetcomp.bench.layer_rows import QUICK, TIMING, LayersOptions
    from hetcomp.bench.layers import bench_layers
    from hetcomp.bench.roofline import check_plot, plot_roofline

    options = LayersOptions(
        processors=split_names(processors),
        min_mflop=min_mflop,
        memory_bound=memory_bound,
        **asked.fields(TIMING, QUICK),
    )
    if asked.plot:
        check_plot(asked.plot)
    where = environment()
    with progress_bar() as progress:
        report = bench_layers(options, progress)
    if asked.plot:
        plot_roofline(asked.plot, report.results.rows, report.ceilings)
    if asked.as_json:
        print_json({"environment": where.to_json(), **_data(options, report)})
    else:
        _print(report)
    if report.results.failed:
        sys.exit(FAILED)


def _data(options: LayersOptions, report: LayersReport) -> dict[str, Any]:
    from dataclasses import asdict

    from hetcomp.bench.summary import summarize_layers

    rows = report.results.rows
    return {
        "options": options.to_json(),
        "ceilings": [asdict(roof) for roof in report.ceilings],
        "summary": [summary.to_json() for summary in summarize_layers(rows)],
        "failed": [asdict(failure) for failure in report.results.failed],
        "rows": [row.to_json() for row in rows],
    }


def _print(report: LayersReport) -> None:
    from hetcomp.bench.summary import summarize_layers

    rows = report.results.rows
    print_table("", _COLUMNS, map(_cells, rows), right=_COLUMNS[5:])
    for roof in report.ceilings:
        click.echo(
            f"{roof.processor}: peak {roof.peak_gflops:.1f} GFLOP/s, GEMM 512^3 "
            f"{roof.gemm_gflops:.1f}; {roof.memory_gb_per_s:.1f} GB/s from memory, "
            f"{roof.l2_gb_per_s:.1f} from L2"
        )
    for summary in summarize_layers(rows):
        click.echo(_line(summary))
    for failure in report.results.failed:
        click.echo(f"{failure.model} failed: {failure.error}", err=True)


def _line(summary: LayerSummary) -> str:
    share = summary.median_share_of_peak
    return (
        f"{summary.processor}: {summary.layers} layers; {summary.large_layers} of at least "
        f"50 MFLOP, median {number(None if share is None else 100 * share, 0)}% of the peak, "
        f"{number(summary.large_ratio_to_onnxruntime, 3)} of ONNX Runtime's time (geometric mean); "
        f"all {summary.compared} compared: {number(summary.ratio_to_onnxruntime, 3)}"
    )


def _cells(row: LayerRow) -> tuple[str, ...]:
    return (
        row.model,
        row.layer,
        row.text,
        row.variant or row.kind,
        row.processor,
        str(row.count),
        number(row.mflop, 1),
        number(row.time_us, 1),
        f"{row.p10_us:.1f}..{row.p90_us:.1f}",
        number(row.gflops, 1),
        f"{100 * row.share_of_peak:.0f}%",
        number(row.gb_per_s, 1),
        number(row.onnxruntime_us, 1),
        number(row.ratio_to_onnxruntime, 3),
    )
