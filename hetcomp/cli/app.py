"""The group of commands. Each command's own imports happen when it runs, so that help is quick."""

from __future__ import annotations

import click

from hetcomp._version import __version__
from hetcomp.cli.bench import bench
from hetcomp.cli.compile import compile_command
from hetcomp.cli.devices import devices
from hetcomp.cli.explain import explain
from hetcomp.cli.run import run

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hetcomp")
def main() -> None:
    """Compile an ONNX model to one .so that runs on CPU and OpenCL device at the same time."""


main.add_command(devices)
main.add_command(compile_command)
main.add_command(run)
main.add_command(explain)
main.add_command(bench)
