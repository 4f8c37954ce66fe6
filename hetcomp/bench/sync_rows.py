"""What `bench sync` is asked, and what it answers: frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hetcomp.bench.options import check_known
from hetcomp.errors import InputError
from hetcomp.options import EXPERIMENTAL_TIERS, TIERS

__all__ = ["DEVICE_TIERS", "Spread", "SyncOptions", "SyncResults", "SyncRow"]

DEVICE_TIERS = TIERS[:-1]
"""Those that use the OpenCL device."""


@dataclass(frozen=True)
class SyncOptions:
    """What to measure.

    Attributes
    ----------
    tiers
        Ways of waiting; those that the device does not have are left out with the reason.
    rows, width
        Of each layer: rows of the activations, and inputs and outputs.
    rounds, reps
        Turns of every tier, and inferences in each.
    lock
        See `hetcomp.exclusive`.
    """

    tiers: tuple[str, ...] = DEVICE_TIERS
    rows: int = 2
    width: int = 512
    rounds: int = 30
    reps: int = 20
    lock: Path | None = None

    def __post_init__(self) -> None:
        check_known("tier", self.tiers, (*DEVICE_TIERS, *EXPERIMENTAL_TIERS))
        if not self.tiers:
            raise InputError("name at least one of the tiers")

    def quick(self) -> SyncOptions:
        """The same with fewer samples."""
        return replace(self, rounds=8, reps=10)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {**asdict(self), "lock": str(self.lock) if self.lock else None}


@dataclass(frozen=True)
class Spread:
    """A measured figure in microseconds: median, percentiles, number of samples."""

    median_us: float
    p10_us: float
    p90_us: float
    n: int


@dataclass(frozen=True)
class SyncRow:
    """One tier; times in microseconds.

    Attributes
    ----------
    tier, memory
        What really ran.
    overhead_per_layer_us_median, overhead_per_layer_us_p10, overhead_per_layer_us_p95
        What an inference takes beyond `ideal_us`, divided by the number of layers.
    chain_us_median
        The inference.
    ideal_us
        The larger one of both processors' sums of their kernels, each alone, measured in the same
        rounds.
    finish_ratio
        Overhead of the tier `finish` over this one's, medians; None where `finish` was left out.
    layers, rounds, n
        Of the chain, turns, and inferences.
    """

    tier: str
    memory: str
    overhead_per_layer_us_median: float
    overhead_per_layer_us_p10: float
    overhead_per_layer_us_p95: float
    chain_us_median: float
    ideal_us: float
    finish_ratio: float | None
    layers: int
    rounds: int
    n: int

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class SyncResults:
    """Rows in the order of the tiers asked for.

    Attributes
    ----------
    cpu_us, gpu_us
        Each processor's kernels of the whole chain, alone.
    latencies
        By name; what a kernel's end costs is over the flag's time. Empty where flags do not work.
    left_out
        Tiers that the device does not have, and why.
    """

    rows: tuple[SyncRow, ...]
    cpu_us: Spread
    gpu_us: Spread
    latencies: Mapping[str, Spread]
    left_out: Mapping[str, str]
