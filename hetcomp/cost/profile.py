"""A device profile: what `hetcomp profile` measured of one device, in one versioned file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hetcomp.cost.costs import SyncCost
from hetcomp.cost.npu_model import NpuModel
from hetcomp.cost.samples import typical
from hetcomp.cost.work import KernelWork

__all__ = ["PROFILE_VERSION", "TIME_DIGITS", "DeviceProfile", "KernelSample"]

PROFILE_VERSION = 2
TIME_DIGITS = 3
"""Decimals of a time in microseconds: a nanosecond."""


@dataclass(frozen=True)
class KernelSample:
    """A measured launch.

    Attributes
    ----------
    work
        What was launched.
    times_us
        All samples in microseconds, one launch each, dispatch not included.
    group
        Samples of one kernel and shape share it; folds and hold-outs never divide a group.
    steady_us
        The time on a quiet machine, where several visits told its drift apart from the kernel.
    """

    work: KernelWork
    times_us: tuple[float, ...]
    group: str
    steady_us: float | None = None

    @property
    def time_us(self) -> float:
        """The time that models learn: the steady one, or else the median."""
        return typical(self.times_us) if self.steady_us is None else self.steady_us


@dataclass(frozen=True)
class DeviceProfile:
    """Everything known of a device.

    Attributes
    ----------
    device
        Fingerprint, see `hetcomp.devices.fingerprint`.
    machine
        Facts on machine, driver and versions, as plain data.
    seed
        Of all random choices.
    sync
        Costs of working together by synchronisation tier (`svm-ahead`, ...), the fastest first.
    slow_down
        Factor on a processor's time while the other one runs, by processor and by what bounds the
        kernel (`cpu.memory`, `cpu.compute`, `gpu.memory`, `gpu.compute`).
    limits
        Peaks of the analytic estimate by processor: `cpu.flops_per_us`, `cpu.bytes_per_us`, ...,
        and start-up and compile times in microseconds. Reported, but nothing is predicted by them:
        what several CPU threads gain (`threads.2.compute`, ...), as predictions are of one thread,
        and the latencies of flags, events and maps (`latencies.*`).
    samples
        Raw measurements of kernels.
    models
        Trained predictors, as `hetcomp.cost.predictor` writes them.
    errors
        Errors on held-out shapes by family and processor.
    npu
        Models of NPU drivers, by name, of those that were asked for.
    """

    device: str
    machine: Mapping[str, Any]
    seed: int
    sync: Mapping[str, SyncCost]
    slow_down: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    samples: tuple[KernelSample, ...] = ()
    models: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, Any] = field(default_factory=dict)
    npu: Mapping[str, NpuModel] = field(default_factory=dict)
    version: int = PROFILE_VERSION
