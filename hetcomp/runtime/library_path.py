"""A path under which the dynamic loader really opens a file.

The loader knows libraries by name: a model.so that was compiled anew under the same name would be
answered with the old one, still mapped. Such a file is opened through a link of another name.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

__all__ = ["loadable_path"]


@dataclass(frozen=True)
class _Identity:
    device: int
    inode: int
    modified_ns: int


_lock = Lock()  # guards _opened
_opened: dict[str, _Identity] = {}


@contextmanager
def loadable_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """`path`, or for the time of the context a link to it, if another file was opened by it."""
    real = os.path.realpath(path)
    state = os.stat(real)
    identity = _Identity(state.st_dev, state.st_ino, state.st_mtime_ns)
    with _lock:
        known = _opened.setdefault(real, identity)
    if known == identity:
        yield Path(real)
        return
    with tempfile.TemporaryDirectory(prefix="hetcomp-load-") as folder:
        link = Path(folder) / Path(real).name
        link.symlink_to(real)
        yield link
