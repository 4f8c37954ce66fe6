"""What working together costs under each synchronisation tier that the device has.

Each tier has a session of its own. What a cache line costs is no matter of waiting and is measured
once, see `hetcomp.profile.lines`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from hetcomp.cost.samples import undisturbed
from hetcomp.exclusive import exclusive
from hetcomp.machine import Machine
from hetcomp.options import TIERS
from hetcomp.profile.dispatch import measure_dispatch
from hetcomp.profile.probes import room_of
from hetcomp.profile.timing import Bench
from hetcomp.profile.waits import measure_waits
from hetcomp.runtime import Session

__all__ = ["AHEAD", "measure_latencies", "measure_tier", "tiers_from"]

AHEAD = "svm-ahead"
"""The tier that has all kernels enqueued before the first one runs."""
_REPS, _SLOWER_REPS = 32, 10
"""Inferences a figure; the fastest tier is the one that plans are made for."""
_LATENCY_REPS = 60
_ENDS = ("event_us", "sleep_us", "finish_us")
"""Latencies of a kernel's end, which count from the moment at which its flag is seen."""


def tiers_from(fastest: str) -> tuple[str, ...]:
    """All tiers that use the device, from this one to the slowest."""
    return TIERS[TIERS.index(fastest) : TIERS.index("cpu")]


def measure_tier(
    path: Path, machine: Machine, lock: Path | None, tier: str, *, fastest: bool
) -> Mapping[str, float]:
    """Costs by the names of `SyncCost`, of the probes' model at `path`."""
    reps = _REPS if fastest else _SLOWER_REPS
    with machine.open(path, plan="gpu", pin="on", tier=tier) as session:
        bench, room = Bench(session, lock), room_of(session.graph)
        dispatch = asdict(measure_dispatch(bench, room, reps))
        return {**dispatch, **asdict(measure_waits(bench, room, reps))}


def measure_latencies(session: Session, lock: Path | None) -> Mapping[str, float]:
    """Undisturbed values of `Session.latencies`; ends without the flag's time.

    Raises
    ------
    DeviceError
        Kernels and CPU do not see each other's flags.
    """
    with exclusive(lock):
        found = asdict(session.latencies(_LATENCY_REPS))
    times_us = {name: undisturbed(samples) for name, samples in found.items()}
    flag_us = times_us.pop("flag_us")
    return {
        name: max(0.0, time_us - flag_us) if name in _ENDS else time_us
        for name, time_us in times_us.items()
    }
