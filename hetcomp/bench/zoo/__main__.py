"""Command line of the zoo: ``python -m hetcomp.bench.zoo NAME -o F.onnx``."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import onnx

from hetcomp.bench import zoo
from hetcomp.cli.feeds import write_npz
from hetcomp.errors import FeedError
from hetcomp.files import atomic_path


def _write_samples(path: Path, model: onnx.ModelProto, count: int) -> None:
    drawn = [zoo.random_inputs(model, seed) for seed in range(count)]
    write_npz(path, {name: np.concatenate([d[name] for d in drawn]) for name in drawn[0]})


def _print_names(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    for name in zoo.names():
        click.echo(name)
    context.exit()


@click.command(name="python -m hetcomp.bench.zoo")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="ONNX file to write.",
)
@click.option("--size", type=int, help="Pixels, tokens, or batch for deepfm  [default: published]")
@click.option("--width", type=float, default=1.0, show_default=True, help="Factor on channels.")
@click.option("--depth", type=float, default=1.0, show_default=True, help="Factor on repeats.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the weights.")
@click.option("--qdq", is_flag=True, help="Quantise to int8 (QuantizeLinear/DequantizeLinear).")
@click.option(
    "--samples",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write random samples of its inputs, for hetcomp compile --calibrate.",
)
@click.option("--count", type=click.IntRange(min=1), default=16, show_default=True, help="Samples.")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_names,
    help="List the networks and exit.",
)
def main(
    name: str,
    output: Path,
    size: int | None,
    width: float,
    depth: float,
    seed: int,
    qdq: bool,
    samples: Path | None,
    count: int,
) -> None:
    """Write the zoo network NAME, with seeded random weights, as an ONNX file."""
    try:
        model = zoo.build(name, size=size, width=width, depth=depth, seed=seed, qdq=qdq)
    except zoo.ZooError as error:
        raise click.UsageError(str(error)) from error
    try:
        with atomic_path(output) as path:
            onnx.save(model, path)
    except OSError as error:
        raise click.UsageError(f"cannot write {output}: {error.strerror}") from error
    if samples:
        try:
            _write_samples(samples, model, count)
        except FeedError as error:
            raise click.UsageError(str(error)) from error
    click.echo(f"{output}: {len(model.graph.node)} nodes, {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
