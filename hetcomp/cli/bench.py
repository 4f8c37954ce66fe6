"""`hetcomp bench`: the group, and `models`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hetcomp.cli.bench_layers import layers
from hetcomp.cli.common import command_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar, split_names

if TYPE_CHECKING:
    from hetcomp.bench.models import Row

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
@click.option("--models", default=_MODELS, show_default=True, help="Zoo networks, by comma.")
@click.option("--plan", "plans", default="cpu,gpu,auto", show_default=True, help="Plans, by comma.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--against", default="onnxruntime", show_default=True, help="Peers, by comma.")
@click.option("--size", type=click.IntRange(min=1), help="Pixels, or tokens; else as published.")
@click.option("--quick", is_flag=True, help="Fewer samples, at most 5 s a network.")
@command_options
def models(
    models: str,
    plans: str,
    threads: int,
    against: str,
    size: int | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Time whole networks against ONNX Runtime, in turns; ratios below 1 are faster."""
    from hetcomp.bench.models import QUICK, BenchOptions, bench_models
    from hetcomp.bench.timing import TimingOptions

    options = BenchOptions(
        models=split_names(models),
        plans=split_names(plans),
        threads=threads,
        against=split_names(against),
        size=size,
        timing=QUICK if quick else TimingOptions(),
    )
    with progress_bar() as progress:
        rows = bench_models(options, progress)
    if as_json:
        print_json({"rows": [row.to_json() for row in rows]})
        return
    print_table("", _COLUMNS, map(_cells, rows), right=_COLUMNS[3:])
    for reason in sorted({row.why_no_gpu for row in rows if row.why_no_gpu}):
        click.echo(f"OpenCL device not used: {reason}")


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
