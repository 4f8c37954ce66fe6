"""`hetcomp bench frames`."""

from __future__ import annotations

from pathlib import Path

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar

__all__ = ["frames"]

_COLUMNS = ("beside", "tier", "frames", "missed", "frame ms", "p99 ms", "inference ms")


@click.command()
@click.option("--model", default="bert_base", show_default=True, help="Zoo network.")
@click.option("--size", type=click.IntRange(min=1), help="Pixels, tokens; else published.")
@click.option(
    "--busy", "busy_ms", type=float, default=10.0, show_default=True,
    help="Milliseconds of the device that a frame takes.",
)  # fmt: skip
@click.option(
    "--gpu-cap", type=click.FloatRange(0.0, 1.0), default=0.3, show_default=True,
    help="Part of the time in which the device may work for us.",
)  # fmt: skip
@click.option(
    "--slice-us", type=click.IntRange(min=1), default=500, show_default=True,
    help="Longest launch.",
)  # fmt: skip
@click.option("--seconds", type=float, default=20.0, show_default=True, help="Of each arm.")
@click.option("--lock", type=click.Path(path_type=Path), help="Held while compiling.")
@command_options
def frames(
    model: str,
    size: int | None,
    busy_ms: float,
    gpu_cap: float,
    slice_us: int,
    seconds: float,
    lock: Path | None,
    as_json: bool,
) -> None:
    """How many frames another client of the OpenCL device misses beside a network, at 60 Hz."""
    from hetcomp.bench.environment import environment
    from hetcomp.bench.frames import FramesOptions, bench_frames

    options = FramesOptions(
        model,
        size=size,
        busy_ms=busy_ms,
        gpu_cap=gpu_cap,
        slice_us=slice_us,
        seconds=seconds,
        lock=lock,
    )
    where = environment()
    with progress_bar() as progress:
        rows = bench_frames(options, progress)
    if as_json:
        print_json({"environment": where.to_json(), "rows": [row.to_json() for row in rows]})
        return
    cells = [
        (
            row.arm,
            row.tier,
            str(row.frames),
            f"{row.missed_percent:.1f}%",
            number(row.frame_median_ms, 1),
            number(row.frame_p99_ms, 1),
            number(row.run_median_ms, 1),
        )
        for row in rows
    ]
    print_table(f"60 frames a second of {busy_ms:g} ms", _COLUMNS, cells, right=_COLUMNS[2:])
