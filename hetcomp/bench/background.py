"""Other work on the machine, for benchmarks: child processes that begin and end with a block."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hetcomp.errors import DeviceError

__all__ = ["Background", "background"]

_SCRIPT = Path(__file__).with_name("background_process.py")
_MOST_SECONDS = 3600.0
_START_LIMIT_S = 60.0


@dataclass(frozen=True)
class Background:
    """What runs beside: `cpu` and `opencl` keep a core or the OpenCL device busy.

    Pinned to `core`, -1 is not pinned.
    """

    kind: str
    core: int


@contextmanager
def background(load: Background | None) -> Iterator[None]:
    """Run `load`, None is none, from when it really works to the end of the block.

    Raises
    ------
    DeviceError
        It cannot be started.
    """
    if load is None:
        yield
        return
    process = start([load.kind, str(load.core), str(_MOST_SECONDS)])
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def start(arguments: list[str], *, limit_s: float = _START_LIMIT_S) -> subprocess.Popen[str]:
    """Start `background_process.py` and wait until it works, at most `limit_s`.

    Raises
    ------
    DeviceError
        It cannot be started, or does not work in time.
    """
    process = subprocess.Popen(
        [sys.executable, str(_SCRIPT), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    overdue = threading.Event()

    def give_up() -> None:
        overdue.set()
        process.kill()

    timer = threading.Timer(limit_s, give_up)
    timer.start()
    line = process.stdout.readline().strip()  # the end of the file, once it is killed
    timer.cancel()
    timer.join()
    if line == "ready" and not overdue.is_set():
        return process
    process.kill()
    _, errors = process.communicate()
    why = f"it was not ready within {limit_s:g} s" if overdue.is_set() else "it ended"
    last = (errors.strip().splitlines() or [why])[-1]
    raise DeviceError(f"background work '{' '.join(arguments)}' cannot be started: {last}")
