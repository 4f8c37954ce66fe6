"""Writing files whole or not at all: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hetcomp.errors import InputError

__all__ = ["atomic_path", "check_writable", "write_text_atomically"]


def check_writable(path: str | os.PathLike[str], what: str) -> None:
    """Refuse a file that cannot be made, before the work for it is done.

    Raises
    ------
    InputError
        It is a folder, or in none, or in one that cannot be written; `what` names the file.
    """
    target = Path(path).absolute()
    where = f"{what} '{os.fspath(path)}' cannot be written"
    if target.is_dir():
        raise InputError(f"{where}: it is a folder; name a file in it")
    if not target.parent.is_dir():
        raise InputError(f"{where}: folder '{target.parent}' does not exist")
    try:
        tempfile.TemporaryFile(dir=target.parent).close()  # permissions do not tell all
    except OSError as error:
        raise InputError(f"{where}: {error.strerror}") from error


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path to write to; it becomes `path` when the block ends without an error.

    Raises
    ------
    OSError
        The folder does not exist or cannot be written.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all; raises OSError."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
