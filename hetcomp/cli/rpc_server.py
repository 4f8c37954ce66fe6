"""`hetcomp rpc-server`."""

from __future__ import annotations

from pathlib import Path

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import print_json

__all__ = ["rpc_server"]


@click.command("rpc-server")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FOLDER",
    help="Gets hetcomp_rpc and the libraries that it needs; copy it to the board.",
)  # fmt: skip
@click.option(
    "--target", metavar="TRIPLE", help="For instance aarch64-linux-gnu; default: this machine."
)
@click.option(
    "--libraries", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Where libtvm_ffi.so and libtvm_runtime.so of TRIPLE are; else they are downloaded once, "
    "some 100 MB.",
)  # fmt: skip
@click.option(
    "--ndk", metavar="FOLDER", type=click.Path(path_type=Path),
    help="Android's NDK, for Android's TRIPLE; default: $ANDROID_NDK_HOME.",
)  # fmt: skip
@command_options
def rpc_server(
    output: Path, target: str | None, libraries: Path | None, ndk: Path | None, as_json: bool
) -> None:
    """Build the program that lets a board be measured from here.

    On the board: FOLDER/hetcomp_rpc --help. Here: hetcomp devices, compile, profile, tune, bench or
    run with --rpc HOST:PORT.
    """
    from hetcomp.codegen.rpc_server import build_rpc_server

    files = build_rpc_server(output, libraries, target, str(ndk or ""))
    if as_json:
        print_json({"files": {file.name: file.stat().st_size for file in files}})
        return
    click.echo("\n".join(f"{file}: {file.stat().st_size / 1e6:.1f} MB" for file in files))
