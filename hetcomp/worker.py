"""Calls in a process of TVM's pool, whose errors arrive as they were raised there.

The pool itself makes a new error of the traceback's text, and loses what else the error holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hetcomp.errors import HetcompError

__all__ = ["call_in"]

T = TypeVar("T")


def call_in(pool: Any, function: Callable[..., T], *arguments: Any) -> T:
    """What `function` returns, or raises, in a process of `pool`.

    Raises
    ------
    TimeoutError, ChildProcessError
        It took longer than the pool allows for; the process died.
    """
    found: T | HetcompError = pool.submit(_told, function, *arguments).result()
    if isinstance(found, HetcompError):
        raise found
    return found


def _told(function: Callable[..., T], *arguments: Any) -> T | HetcompError:
    """Called in the process."""
    try:
        return function(*arguments)
    except HetcompError as error:
        return error
