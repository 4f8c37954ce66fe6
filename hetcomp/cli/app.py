"""The group of commands. Each command's own imports happen when it runs, so that help is quick."""

from __future__ import annotations

from typing import Any

import click

from hetcomp._version import __version__
from hetcomp.cli.bench import bench
from hetcomp.cli.common import BAD_INPUT
from hetcomp.cli.compile import compile_command
from hetcomp.cli.deploy import deploy
from hetcomp.cli.devices import devices
from hetcomp.cli.explain import explain
from hetcomp.cli.profile import profile
from hetcomp.cli.rpc_server import rpc_server
from hetcomp.cli.run import run
from hetcomp.cli.targets import targets
from hetcomp.cli.tune import tune

__all__ = ["main"]


class _Usage(click.ClickException):
    """Wrong usage, said in one line like every other error."""

    exit_code = BAD_INPUT

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.echo(f"error: {self.message}", err=True, file=file)


class _Group(click.Group):
    """A group whose usage errors are one line."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the group's own options."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise _line(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Parse and run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _line(error) from error


def _line(error: click.UsageError) -> click.ClickException:
    """One line for `error`, except where it stands for the help text."""
    if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later
        return error
    command = error.ctx.command_path if error.ctx else "hetcomp"
    return _Usage(f"{' '.join(error.format_message().split())} See {command} --help")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hetcomp")
def main() -> None:
    """Compile an ONNX model to one .so that runs on CPU and OpenCL device at the same time."""


main.add_command(devices)
main.add_command(targets)
main.add_command(compile_command)
main.add_command(run)
main.add_command(explain)
main.add_command(deploy)
main.add_command(tune)
main.add_command(profile)
main.add_command(bench)
main.add_command(rpc_server)
