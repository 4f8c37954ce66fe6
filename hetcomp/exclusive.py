"""Measuring undisturbed: one process at a time, above all ordinary work."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["exclusive", "waited_s"]

_PRIORITY = 10
"""Real-time priority: above all ordinary processes, below what the kernel itself needs."""
_waits_s: list[float] = []
"""How long this process has waited for locks."""


def waited_s() -> float:
    """Seconds that this process has waited for locks so far."""
    return sum(_waits_s)


@contextmanager
def exclusive(lock: Path | None) -> Iterator[None]:
    """Hold the file `lock` and run at real-time priority where that is allowed.

    So several benchmarks on one machine wait for each other, and other work waits for them. With
    None as `lock` nothing happens. Threads that exist get the priority, and those they start. The
    process's timer (`signal.ITIMER_REAL`) stands still while it waits.
    """
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        _wait_for(file)
        _schedule_all(os.SCHED_FIFO, _PRIORITY)
        try:
            yield
        finally:
            _schedule_all(os.SCHED_OTHER, 0)


def _wait_for(file: IO[str]) -> None:
    left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0.0)
    begin = time.perf_counter()
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    finally:
        _waits_s.append(time.perf_counter() - begin)
        signal.setitimer(signal.ITIMER_REAL, left_s)


def _schedule_all(policy: int, priority: int) -> None:
    for thread in os.listdir("/proc/self/task"):
        # A thread may have ended; and without the right to it, timing is only noisier.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.sched_setscheduler(int(thread), policy, os.sched_param(priority))
