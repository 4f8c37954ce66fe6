"""Keep other work off the processors while something is being measured."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["favoured", "preemptions"]

_NICE = -15
"""Leaves others a thirtieth of a contended core. Not real-time: two programs that spin on both
cores of a machine would stop each other."""


@contextmanager
def favoured() -> Iterator[None]:
    """Put all threads of this process in front of others, where that is allowed."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, min(before, _NICE))
    except OSError:
        yield
        return
    _set_all(min(before, _NICE))
    try:
        yield
    finally:
        _set_all(before)


def preemptions() -> int:
    """How often the system has taken a processor from a thread of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _set_all(nice: int) -> None:
    for folder in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has ended
            os.setpriority(os.PRIO_PROCESS, int(folder.name), nice)
