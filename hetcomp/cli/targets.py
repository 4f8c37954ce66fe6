"""`hetcomp targets`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import print_json, print_table

if TYPE_CHECKING:
    from hetcomp.targets.socs import Soc

__all__ = ["targets"]


@click.command()
@click.option(
    "--fetch", metavar="TRIPLE",
    help="Download the target's libtvm_ffi.so and print its path: a device needs it beside the "
    "model.so, and cross compilations link against it from then on.",
)  # fmt: skip
@command_options
def targets(fetch: str | None, as_json: bool) -> None:
    """List what compile --target takes."""
    if fetch is not None:
        _fetch(fetch, as_json)
        return
    from hetcomp.targets.gpus import GPUS
    from hetcomp.targets.socs import find_socs
    from hetcomp.targets.spec import TRIPLES

    socs = find_socs()
    if as_json:
        named = {name: {**asdict(soc), "tier": soc.gpu.tier} for name, soc in socs.items()}
        print_json({"triples": ["host", *TRIPLES], "gpus": list(GPUS), "socs": named})
        return
    rows = [("host", "the machine that compiles", "")]
    rows += [(name, soc.name, _details(soc)) for name, soc in socs.items()]
    rows += [
        (name, "any ARMv8-A CPU, or those of ,cpu=cortex-a53+cortex-a76", "") for name in TRIPLES
    ]
    rows += [(f"...,gpu={name}", gpu.name, "") for name, gpu in GPUS.items()]
    print_table("", ("target", "for", "as published"), rows)


def _details(soc: Soc) -> str:
    gpu = soc.gpu
    opencl = f"no OpenCL: {gpu.why_none}" if gpu.why_none else f"{gpu.svm} SVM, tier {gpu.tier}"
    return f"{soc.cpu_text}; {gpu.name}, {opencl}"


def _fetch(triple: str, as_json: bool) -> None:
    from hetcomp.codegen.target_library import fetch_ffi_library

    path = str(fetch_ffi_library(triple))
    if as_json:
        print_json({"library": path})
    else:
        click.echo(path)
