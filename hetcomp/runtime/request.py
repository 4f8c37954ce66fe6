"""An inference that was asked for without waiting."""

from __future__ import annotations

import time
from typing import Any

from hetcomp.runtime._ffi_api import RequestApi

__all__ = ["Request"]

_SLICE_S = 0.1
"""Longest uninterrupted wait, so that Ctrl-C is heard."""


class Request:
    """One submitted inference; made by `Session.submit`. Any thread may use it.

    It keeps its inputs and outputs alive. When it goes unfinished, it is cancelled, or waited for
    if it has begun.
    """

    def __init__(self, api: RequestApi, results: dict[str, Any]) -> None:
        self._api = api
        self._results = results

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the inference has ended, at most `timeout` seconds.

        Returns
        -------
        bool
            Whether it has ended.

        Raises
        ------
        CancelledError
            It was given up before it began.
        InternalError
            A kernel failed.
        """
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            if self._api.wait(1e3 * max(0.0, min(left, _SLICE_S))):
                return True
            if left <= _SLICE_S:
                return False

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """The outputs by name, after waiting for them.

        Raises
        ------
        TimeoutError
            They are not there within `timeout` seconds; the inference goes on.
        CancelledError, InternalError
            As `wait`.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"the inference has not ended within {timeout:g} s")
        return self._results

    def cancel(self) -> bool:
        """Give the inference up if it has not begun; whether that was in time."""
        return self._api.cancel()
