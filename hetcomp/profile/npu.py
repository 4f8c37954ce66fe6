"""An NPU's driver in a device profile: integer layers timed on it, and a model of their times."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hetcomp.cost.npu_model import NpuModel, fit_npu
from hetcomp.devices.npu import describe_npus
from hetcomp.errors import ProfileError
from hetcomp.exclusive import exclusive
from hetcomp.plan.npu_forecast import npu_work
from hetcomp.profile.layers import Layer, model_of
from hetcomp.profile.quantized import (
    QuantizedAdd,
    QuantizedConv2d,
    QuantizedDepthwise,
    QuantizedLinear,
)
from hetcomp.runtime import load
from hetcomp.tune.measure_npu import measure_npu

__all__ = ["check_npu", "profile_npu"]

_LAYERS: tuple[Layer, ...] = (
    *(QuantizedConv2d(size, size, 64, 64, 1, 1, 0, 0) for size in (7, 28, 56)),
    *(QuantizedConv2d(size, size, 32, 64, 3, 1, 0, 0) for size in (7, 28)),
    *(QuantizedConv2d(14, 14, 256, size, 3, 2, 0, 0) for size in (64, 256)),
    *(QuantizedDepthwise(size, size, 64, 3, 1, 0) for size in (14, 56)),
    *(QuantizedLinear(rows, 256, 512, 1) for rows in (1, 32, 128)),
    *(QuantizedAdd(size, size, 64) for size in (14, 56)),
)
"""From a few microseconds to some milliseconds on one core."""


def check_npu(driver: str) -> None:
    """Refuse a driver that is missing, before minutes of work.

    Raises
    ------
    ProfileError
        It does not serve on this machine.
    """
    (found,) = (item for item in describe_npus() if item.name == driver)
    if not found.verdict:
        raise ProfileError(f"NPU driver {driver}: {found.verdict.reason}")


def profile_npu(driver: str, seed: int, lock: Path | None) -> NpuModel:
    """Time layers on the driver, and fit a model to their times.

    Raises
    ------
    ProfileError
        The driver takes none of them.
    """
    from hetcomp.driver import compile as compile_model
    from hetcomp.options import CompileOptions

    with tempfile.TemporaryDirectory(prefix="hetcomp-npu-") as folder:
        path = Path(folder) / "layers.so"
        options = CompileOptions(plan="npu", gpu=False, npu_driver=driver)
        compile_model(model_of(_LAYERS, seed), output=path, options=options)
        with load(path, plan="npu", npu=driver, quiet=True) as session, exclusive(lock):
            cost = measure_npu(session, driver)
            if cost is None:
                raise ProfileError(f"nothing was measured: {session.status().why_no_npu}")
            timed = zip(session.graph.tasks, cost.task_us, strict=True)
            known = [(npu_work(task), time_us) for task, time_us in timed if time_us is not None]
    works, times_us = zip(*known, strict=True)
    return fit_npu(works, times_us, cost.way)
