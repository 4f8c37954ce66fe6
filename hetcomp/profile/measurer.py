"""Visits batches in a process of its own, which is replaced now and then, and after a failure.

A model.so stays in the memory of a process that has loaded it; an OpenCL device that failed once
is not used again by a process; and kernels that crash take nothing along that was measured before.
A batch that hangs is ended by the process's own timer, which stands still while it waits for the
lock: other benchmarks may hold that for long.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from hetcomp.errors import DeviceError
from hetcomp.exclusive import waited_s
from hetcomp.machine import Machine
from hetcomp.profile.batch import visit_batch
from hetcomp.profile.build import Build
from hetcomp.profile.kernels import KernelOptions
from hetcomp.profile.visits import Visit
from hetcomp.worker import call_in

__all__ = ["Measurer"]

_USES = 24
"""Visits of one process."""
_LIMIT_S = 120.0
"""Time for a visit, waiting for the lock left out."""
_BOARD_LIMIT_S = 700.0
"""The same over RPC, where the board's server has a limit of its own."""
_TRIES = 2


class Measurer:
    """A context manager that ends its process.

    Parameters
    ----------
    lock
        Held while something is timed, see `hetcomp.exclusive`.
    options
        How much of each kernel to time.
    machine
        Where.

    Attributes
    ----------
    waited_s
        Seconds that visits have waited for the lock.
    """

    def __init__(
        self, lock: Path | None, options: KernelOptions, machine: Machine | None = None
    ) -> None:
        self._lock, self._options, self._machine = lock, options, machine or Machine()
        self._pool: Any = None
        self.waited_s = 0.0

    def __enter__(self) -> Measurer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def visit(self, build: Build) -> Visit:
        """Times of all kernels of a batch, at the second attempt where the device failed; where
        the link to a board dropped, once that is back.

        Raises
        ------
        DeviceError, ChildProcessError
            It failed again, or the process died, or hung and was ended.
        LinkError
            The board did not come back, or the link drops all the time.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                return self._machine.held(lambda: self._visit(build), lambda _text: None)
            except DeviceError:
                self._stop()
                if attempt == _TRIES:
                    raise
        raise AssertionError("not reached")

    def _visit(self, build: Build) -> Visit:
        from tvm.support.popen_pool import PopenPoolExecutor

        if self._pool is None:
            self._pool = PopenPoolExecutor(max_workers=1, maximum_process_uses=_USES)
        arguments = (build, self._machine, self._lock, self._options)
        found = call_in(self._pool, _measured, *arguments)
        self.waited_s += found.waited_s
        return found.visit

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        self._pool = None


@dataclass(frozen=True)
class _Measured:
    visit: Visit
    waited_s: float


def _measured(
    build: Build, machine: Machine, lock: Path | None, options: KernelOptions
) -> _Measured:
    """Called in the process, which the timer ends wherever it hangs."""
    before_s = waited_s()
    limit_s = _LIMIT_S if machine.remote is None else _BOARD_LIMIT_S
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        visit = visit_batch(build, machine, lock, options)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    return _Measured(visit, waited_s() - before_s)
