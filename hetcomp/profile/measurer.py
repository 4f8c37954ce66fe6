"""Measures batches in a process of its own, which is replaced now and then, and after a failure.

A model.so stays in the memory of a process that has loaded it; an OpenCL device that failed once
is not used again by a process; and kernels that crash take nothing along that was measured before.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from hetcomp.cost.profile import KernelSample
from hetcomp.errors import DeviceError
from hetcomp.profile.batch import measure_batch
from hetcomp.profile.build import Build
from hetcomp.profile.kernels import KernelOptions

__all__ = ["Measurer"]

_USES = 8
"""Batches of one process."""
_LIMIT_S = 120.0
"""Time for a batch."""
_TRIES = 2


class Measurer:
    """A context manager that ends its process.

    Parameters
    ----------
    lock
        Held while something is timed, see `hetcomp.exclusive`.
    options
        How much of each kernel to time.
    """

    def __init__(self, lock: Path | None, options: KernelOptions) -> None:
        self._lock, self._options = lock, options
        self._pool: Any = None

    def __enter__(self) -> Measurer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def measure(self, build: Build) -> tuple[KernelSample, ...]:
        """Samples of all kernels of a batch, at the second attempt where the device failed.

        Raises
        ------
        DeviceError, ChildProcessError, TimeoutError
            It failed again, or the process died or hung.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                return self._measure(build)
            except DeviceError:
                self._stop()
                if attempt == _TRIES:
                    raise
        raise AssertionError("not reached")

    def _measure(self, build: Build) -> tuple[KernelSample, ...]:
        from tvm.support.popen_pool import PopenPoolExecutor

        if self._pool is None:
            self._pool = PopenPoolExecutor(
                max_workers=1, maximum_process_uses=_USES, timeout=_LIMIT_S
            )
        future = self._pool.submit(measure_batch, build, self._lock, self._options)
        samples: tuple[KernelSample, ...] = future.result()
        return samples

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        self._pool = None
