"""All constants of a device, stage by stage, on one model of probes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from hetcomp.cost.costs import SyncCost
from hetcomp.profile.build import Build
from hetcomp.profile.contention import measure_slow_down
from hetcomp.profile.dispatch import measure_dispatch
from hetcomp.profile.flags import measure_flags
from hetcomp.profile.lines import measure_lines
from hetcomp.profile.peaks import measure_peaks
from hetcomp.profile.probes import Room, room_of
from hetcomp.profile.timing import Bench
from hetcomp.runtime import load

__all__ = ["STAGES", "Constants", "limits_of", "measure_constants", "slow_down_of", "sync_of"]

Constants = Mapping[str, Mapping[str, float]]
"""Figures by the name of their stage."""

_Stage = Callable[[Bench, Room], Mapping[str, float]]
_TOGETHER: Mapping[str, _Stage] = {
    "dispatch": lambda bench, room: asdict(measure_dispatch(bench, room)),
    "flags": lambda bench, room: asdict(measure_flags(bench, room)),
    "lines": lambda bench, room: asdict(measure_lines(bench, room)),
    "slow-down": measure_slow_down,
}
STAGES = ("start-up", "peaks", *_TOGETHER)
"""In the order in which they are measured; without an OpenCL device the first two."""


def measure_constants(
    build: Build, lock: Path | None, report: Callable[[str], None]
) -> dict[str, Mapping[str, float]]:
    """Measure every stage; `report` hears the name of each before it begins."""
    gpu = build.job.gpu
    report("start-up")
    begin = time.perf_counter()
    with load(build.path, plan="gpu" if gpu else "cpu", pin="on", quiet=True) as session:
        found: dict[str, Mapping[str, float]] = {
            "start-up": {
                "open_us": (time.perf_counter() - begin) * 1e6,
                "program_us": session.status().build_ms * 1e3,
                "warm_up_us": session.status().warmup_ms * 1e3,
                "pinned": float(session.status().gpu_pinned),
            }
        }
        bench, room = Bench(session, lock), room_of(session.graph)
        report("peaks")
        found["peaks"] = measure_peaks(bench, room, gpu=gpu)
        for stage, measure in _TOGETHER.items() if gpu else ():
            report(stage)
            found[stage] = measure(bench, room)
    return found


def sync_of(constants: Constants) -> SyncCost:
    """What working together costs, as planners want it."""
    dispatch, flags, lines = constants["dispatch"], constants["flags"], constants["lines"]
    return SyncCost(
        split_us=flags["split_us"],
        handover_us=flags["handover_us"],
        gpu_launch_us=dispatch["launch_us"],
        line_ns=(lines["cpu_read_ns"] + lines["gpu_read_ns"]) / 2.0,
        enqueue_us=dispatch["enqueue_us"],
        first_enqueue_us=dispatch["first_enqueue_us"],
        wake_us=dispatch["wake_us"],
    )


def slow_down_of(constants: Constants) -> Mapping[str, float]:
    """Factors on times while both processors work."""
    return constants.get("slow-down", {})


def limits_of(constants: Constants) -> Mapping[str, float]:
    """All other figures under one name each."""
    plain = dict(constants.get("peaks", {}))
    for stage in ("start-up", "lines", "compile"):
        for key, value in constants.get(stage, {}).items():
            plain[f"{stage.replace('-', '_')}.{key}"] = value
    return plain
