"""Takes every thread out of the runtime before the interpreter goes.

A call into the runtime gives up the interpreter's lock. A daemon thread that comes back when the
interpreter is being torn down is ended by it in the middle of C++, which ends the process by
`std::terminate`. So sessions are closed before, and calls in progress waited for.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar
from weakref import WeakSet

__all__ = ["close_at_exit", "counted"]

P = ParamSpec("P")
R = TypeVar("R")

_LIMIT_S = 60.0
"""Longest wait; calls end by themselves long before, see `timeout_ms` of `load`."""

_POLL_S = 0.001


class _Closeable(Protocol):
    def close(self) -> None: ...


_open: WeakSet[_Closeable] = WeakSet()
_calls: set[object] = set()  # one token for each call in progress


def counted(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose calls are waited for at exit."""

    @wraps(function, assigned=(), updated=())
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        token = object()
        _calls.add(token)
        try:
            return function(*args, **kwargs)
        finally:
            _calls.discard(token)

    return call


def close_at_exit(session: _Closeable) -> None:
    """Close `session` when the interpreter exits, if it still lives."""
    _open.add(session)


def _leave() -> None:
    for session in list(_open):
        session.close()
    end = time.monotonic() + _LIMIT_S
    while _calls and time.monotonic() < end:
        time.sleep(_POLL_S)


atexit.register(_leave)
