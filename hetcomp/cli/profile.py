"""`hetcomp profile`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import number, print_json, print_table, progress_bar
from hetcomp.options import NPU_DRIVERS

if TYPE_CHECKING:
    from hetcomp.cost.profile import DeviceProfile

__all__ = ["profile"]

_CONSTANTS = ("constant", "value")
_KERNELS = ("family", "processor", "shapes", "samples", "median µs")
_ERRORS = ("family, processor", "samples", "median %", "mean %", "within 10%", "in quantiles %")


@click.command()
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DEVICE.json",
    help="File to write; compressed where it ends in .gz. Beside it lies a log while measuring, "
    "from which the same command goes on after an interruption.",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="Within 90 seconds rather than 15 minutes.")
@click.option("--seed", default=0, show_default=True, help="Of all random choices.")
@click.option(
    "--lock", type=click.Path(path_type=Path),
    help="File to hold while something is timed; other benchmarks with the same file wait.",
)  # fmt: skip
@click.option(
    "--npu-driver", type=click.Choice(NPU_DRIVERS), default=None,
    help="Measure this NPU driver too, for compile --npu-driver with --profile.",
)  # fmt: skip
@click.option(
    "--rpc", default="", metavar="HOST:PORT[,KEY]",
    help="Measure the board where hetcomp_rpc runs (see rpc-server); with KEY, one of a tracker.",
)  # fmt: skip
@command_options
def profile(
    output: Path,
    quick: bool,
    seed: int,
    lock: Path | None,
    npu_driver: str | None,
    rpc: str,
    as_json: bool,
) -> None:
    """Measure this device: its kernels, and what working together costs."""
    from hetcomp.profile.options import ProfileOptions
    from hetcomp.profile.run import profile_device

    options = ProfileOptions(
        quick=quick, seed=seed, lock=lock, npu_driver=npu_driver or "", rpc=rpc
    )
    with progress_bar() as progress:
        result = profile_device(output, options, progress)
    if as_json:
        print_json(_json(result))
        return
    print_table(f"{output}: {result.device}", _CONSTANTS, _constants(result), right=("value",))
    print_table("kernels", _KERNELS, _kernels(result), right=_KERNELS[2:])
    for kernels, table in result.errors.items():
        title = f"errors on shapes not seen, kernels {kernels}"
        print_table(title, _ERRORS, map(_error, table.items()), right=_ERRORS[1:])
    for failure in result.machine["failures"]:
        click.echo(f"not measured: {failure}", err=True)


def _constants(result: DeviceProfile) -> Iterator[tuple[str, str]]:
    for tier, cost in result.sync.items():
        for item in fields(cost):
            value = getattr(cost, item.name)
            text = ("no", "yes")[value] if isinstance(value, bool) else number(value, 2)
            yield f"{tier} {item.name}", text
    for name, factor in result.slow_down.items():
        yield f"slow-down {name}", number(factor, 2)
    for name, value in result.limits.items():
        yield name, number(value, 1)
    for driver, model in result.npu.items():
        numbers = {**model.to_json(), **asdict(model.way)}
        del numbers["way"]
        yield from ((f"npu {driver} {name}", number(value, 3)) for name, value in numbers.items())


def _kernels(result: DeviceProfile) -> Iterator[tuple[str, ...]]:
    from statistics import median

    from hetcomp.cost.samples import undisturbed

    by_kind = defaultdict(list)
    for sample in result.samples:
        by_kind[sample.work.family, sample.work.processor].append(sample)
    for (family, processor), samples in sorted(by_kind.items()):
        groups = {sample.group for sample in samples}
        typical = median(undisturbed(sample.times_us) for sample in samples)
        yield family, processor, str(len(groups)), str(len(samples)), number(typical)


def _error(entry: tuple[str, Mapping[str, Any]]) -> tuple[str, ...]:
    name, error = entry
    figures = ("median_percent", "mape_percent", "within_10_percent", "between_percent")
    return name, str(error["samples"]), *(number(error[figure]) for figure in figures)


def _json(result: DeviceProfile) -> dict[str, object]:
    return {
        "device": result.device,
        "machine": result.machine,
        "seed": result.seed,
        "version": result.version,
        "sync": {tier: asdict(cost) for tier, cost in result.sync.items()},
        "slow_down": result.slow_down,
        "limits": result.limits,
        "samples": len(result.samples),
        "errors": result.errors,
        "npu": {driver: model.to_json() for driver, model in result.npu.items()},
    }
