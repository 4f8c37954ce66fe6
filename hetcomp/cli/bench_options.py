"""The options that all benchmarks over zoo networks take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import split_names
from hetcomp.options import DEVICE_CLASSES, NPU_DRIVERS, PRECISIONS

if TYPE_CHECKING:
    from hetcomp.bench.timing import TimingOptions

__all__ = ["Asked", "network_options"]


@dataclass(frozen=True)
class Asked:
    """The values given, `models` and `against` still by comma."""

    models: str
    against: str
    size: int | None
    qdq: bool
    exact: bool
    precision: str
    tuned: str
    device_class: str
    npu_driver: str | None
    plot: Path | None
    quick: bool
    lock: Path | None
    as_json: bool

    def fields(self, usual: TimingOptions, quick: TimingOptions) -> dict[str, Any]:
        """The fields of `hetcomp.bench.options.NetworkOptions`."""
        from hetcomp.bench import zoo

        return {
            "models": zoo.names() if self.models == "all" else split_names(self.models),
            "against": self._installed_peers(),
            "size": self.size,
            "qdq": self.qdq,
            "exact": self.exact,
            "precision": self.precision,
            "tuned": self.tuned,
            "device_class": self.device_class,
            "npu_driver": self.npu_driver or "",
            "timing": quick if self.quick else usual,
            "lock": self.lock,
        }

    def _installed_peers(self) -> tuple[str, ...]:
        """Those of `against`, and a line on standard error for each that is not there."""
        from hetcomp.bench.peers import PEERS, missing_peers

        asked = split_names(self.against)
        missing = missing_peers([name for name in asked if name in PEERS])
        for name in missing:
            click.echo(f"{name} is not installed and left out: it needs hetcomp[contest]", err=True)
        return tuple(name for name in asked if name not in missing)


def network_options(
    *, models: str, plot: str, quick: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options and those of `command_options`; pass them on as `asked`.

    Parameters
    ----------
    models
        Default of --models.
    plot, quick
        Help texts: what the plot shows, and how long --quick takes.
    """
    path = click.Path(path_type=Path)
    options = (
        click.option("--models", default=models, show_default=True, help="By comma, or all."),
        click.option(
            "--against",
            default="onnxruntime",
            show_default=True,
            help="By comma, of onnxruntime and, in bench models, openvino (hetcomp[contest]).",
        ),
        click.option("--size", type=click.IntRange(min=1), help="Pixels, tokens; else published."),
        click.option("--qdq", is_flag=True, help="Networks quantised to int8 (QDQ form)."),
        click.option("--exact", is_flag=True, help="Without Winograd's method."),
        click.option("--precision", type=click.Choice(PRECISIONS), default="auto", help="Ours."),
        click.option("--tuned", default="", metavar="DB", help="Kernels by a data base of tune."),
        click.option(
            "--device-class",
            type=click.Choice(DEVICE_CLASSES),
            default="auto",
            help="OpenCL kernels; gpu: the CPU's are measured in a file of its own.",
        ),
        click.option(
            "--npu-driver", type=click.Choice(NPU_DRIVERS), help="For plans npu and auto."
        ),
        click.option("--plot", type=path, help=f"{plot}: F.png, F.svg, F.pdf."),
        click.option("--quick", is_flag=True, help=f"Fewer samples, at most {quick} a network."),
        click.option("--lock", type=path, help="Hold this file, at real-time priority if allowed."),
    )
    names = Asked.__dataclass_fields__

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def packed(**given: Any) -> None:
            own = {name: value for name, value in given.items() if name not in names}
            function(Asked(**{name: given[name] for name in names}), **own)

        decorated: Any = command_options(packed)
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate
