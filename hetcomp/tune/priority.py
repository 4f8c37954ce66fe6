"""Keep other work off the processors while something is being measured."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ThreadTimes", "favoured", "thread_times", "waited_us"]

ThreadTimes = Mapping[str, tuple[int, int]]
"""By thread: nanoseconds that it ran, and that it waited for a processor."""

_NICE = -15
"""Leaves others a thirtieth of a contended core. Not real-time: two programs that spin on both
cores of a machine would stop each other."""
_WORKS = 0.1
"""Of the busiest thread's time: who computes less only waits."""
_SWITCH_NS = 1_000_000
"""What a thread loses when it is preempted, where the kernel does not count its waiting."""


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


def thread_times() -> ThreadTimes:
    """What every thread of this process has computed and waited for a processor so far."""
    found = {}
    for folder in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has ended, or the kernel does not count
            ran_ns, waited_ns, _ = map(int, (folder / "schedstat").read_text().split())
            found[folder.name] = ran_ns, waited_ns
    if found:
        return found
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    return {"": (time.thread_time_ns(), switches * _SWITCH_NS)}


def waited_us(before: ThreadTimes, after: ThreadTimes) -> float:
    """How long threads that computed between two calls waited for a processor.

    Others do not count: PoCL wakes a second thread with every command, which finds nothing to do.
    """
    spans = [
        (ran - before[name][0], waited - before[name][1])
        for name, (ran, waited) in after.items()
        if name in before
    ]
    most = max((ran for ran, _ in spans), default=0)
    return sum(waited for ran, waited in spans if ran >= _WORKS * most) * 1e-3


def _set_all(nice: int) -> None:
    for folder in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has ended
            os.setpriority(os.PRIO_PROCESS, int(folder.name), nice)
