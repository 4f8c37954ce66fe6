"""Compile synthetic models in worker processes, some ahead of the one that is being measured.

A worker also opens the model once, because OpenCL drivers compile kernels when they first run, and
keep them on disk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetcomp.profile.layers import Layer

__all__ = ["Build", "Job", "building"]

_LIMIT_S = 300.0
"""Time that a model may take to compile."""
_USES = 8
"""Models of one process: each that it opens stays in its memory."""


@dataclass(frozen=True)
class Job:
    """A model to compile.

    Attributes
    ----------
    number
        Names its files.
    layers
        In this order in the model.
    seed
        Of the weights.
    exact
        Keep to direct methods.
    gpu
        Whether to generate OpenCL kernels.
    precision
        As in `CompileOptions`.
    rpc
        The board that it is for; empty: this machine.
    """

    number: int
    layers: tuple[Layer, ...]
    seed: int
    exact: bool
    gpu: bool
    precision: str = "auto"
    rpc: str = ""


@dataclass(frozen=True)
class Build:
    """A compiled model and the seconds that it took to compile."""

    job: Job
    path: Path
    compile_s: float

    @property
    def gpu(self) -> bool:
        """Whether it has OpenCL kernels."""
        return self.job.gpu


@contextmanager
def building(workers: int) -> Iterator[Callable[[Job], Any]]:
    """Yields a function that takes a job and returns the future of its `Build`."""
    from tvm.support.popen_pool import PopenPoolExecutor

    pool = PopenPoolExecutor(max_workers=workers, timeout=_LIMIT_S, maximum_process_uses=_USES)
    with tempfile.TemporaryDirectory(prefix="hetcomp-profile-") as folder:
        try:
            yield lambda job: pool.submit(_build, job, folder)
        finally:
            pool.shutdown(wait=False)


def _build(job: Job, folder: str) -> Build:
    """Called in a worker."""
    from hetcomp.driver import compile as compile_model
    from hetcomp.options import CompileOptions
    from hetcomp.profile.layers import model_of

    path = Path(folder) / f"batch{job.number}.so"
    plan = "gpu" if job.gpu else "cpu"  # plan cpu would have no kernels of OpenCL class gpu
    options = CompileOptions(
        plan=plan, gpu=job.gpu, exact=job.exact, precision=job.precision, rpc=job.rpc
    )
    begin = time.perf_counter()
    compile_model(model_of(job.layers, job.seed), output=path, options=options)
    compile_s = time.perf_counter() - begin
    if job.gpu and not job.rpc:
        _open(path)
    return Build(job, path, compile_s)


def _open(path: Path) -> None:
    from hetcomp.runtime import load

    with load(path, plan="gpu", quiet=True):
        pass
