"""Waiting for the lock counts neither against a batch's limit nor against the budget."""

from __future__ import annotations

import fcntl
import signal
import threading
import time
from pathlib import Path

from hetcomp.exclusive import exclusive, waited_s


def test_the_timer_stands_still_while_others_hold_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = lock.open("a")
    fcntl.flock(holder, fcntl.LOCK_EX)
    threading.Timer(0.4, holder.close).start()
    before_s, begin = waited_s(), time.perf_counter()
    heard: list[int] = []
    usual = signal.signal(signal.SIGALRM, lambda number, _frame: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with exclusive(lock):
            left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, usual)
    assert time.perf_counter() - begin > 0.35
    assert heard == []
    assert 0.1 < left_s <= 0.2
    assert 0.3 < waited_s() - before_s < 2.0


def test_nobody_waits_for_a_free_lock(tmp_path: Path) -> None:
    before_s = waited_s()
    with exclusive(tmp_path / "lock"):
        pass
    with exclusive(None):
        pass
    assert waited_s() - before_s < 0.1
