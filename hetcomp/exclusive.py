"""Measuring undisturbed: one process at a time, above all ordinary work."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["exclusive"]

_PRIORITY = 10
"""Real-time priority: above all ordinary processes, below what the kernel itself needs."""


@contextmanager
def exclusive(lock: Path | None) -> Iterator[None]:
    """Hold the file `lock` and run at real-time priority where that is allowed.

    So several benchmarks on one machine wait for each other, and other work waits for them. With
    None as `lock` nothing happens. Threads that exist get the priority, and those they start.
    """
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _schedule_all(os.SCHED_FIFO, _PRIORITY)
        try:
            yield
        finally:
            _schedule_all(os.SCHED_OTHER, 0)


def _schedule_all(policy: int, priority: int) -> None:
    for thread in os.listdir("/proc/self/task"):
        # A thread may have ended; and without the right to it, timing is only noisier.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.sched_setscheduler(int(thread), policy, os.sched_param(priority))
