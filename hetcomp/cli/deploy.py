"""`hetcomp deploy`."""

from __future__ import annotations

from pathlib import Path

import click

from hetcomp.cli.common import command_options
from hetcomp.cli.output import print_json, size_text

__all__ = ["deploy"]


@click.command()
@click.argument("model", metavar="M.so", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, metavar="FOLDER", type=click.Path(path_type=Path),
    help="Gets the files; made if missing.",
)  # fmt: skip
@click.option(
    "--published", is_flag=True,
    help="Take libtvm_ffi.so as TVM publishes it, three times as large; for devices where other "
    "programs use it too.",
)  # fmt: skip
@click.option(
    "--ndk", metavar="FOLDER", type=click.Path(path_type=Path),
    help="Android's NDK, for models for Android; default: $ANDROID_NDK_HOME.",
)  # fmt: skip
@command_options
def deploy(model: Path, output: Path, published: bool, ndk: Path | None, as_json: bool) -> None:
    """Put what a device needs of a compiled model into FOLDER: M.so without symbols, and
    libtvm_ffi.so. Libraries of the system are named, not copied."""
    from hetcomp.codegen.deploy import deploy_model

    done = deploy_model(model, output, published=published, ndk=str(ndk or ""))
    if as_json:
        sizes = {file.name: file.stat().st_size for file in done.files}
        print_json(
            {
                "files": sizes,
                "size_bytes": done.size_bytes,
                "system_libraries": done.system_libraries,
            }
        )
        return
    for file in done.files:
        click.echo(f"{file}: {size_text(file.stat().st_size)}")
    click.echo(
        f"together {size_text(done.size_bytes)}; the system brings "
        f"{', '.join(done.system_libraries)}"
    )
