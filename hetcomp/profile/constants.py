"""All constants of a device, stage by stage, on one model of probes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from hetcomp.cost.costs import SyncCost
from hetcomp.profile.border import measure_border
from hetcomp.profile.build import Build
from hetcomp.profile.contention import measure_slow_down
from hetcomp.profile.copies import copying_costs, measure_copies
from hetcomp.profile.first_open import first_open_us
from hetcomp.profile.lines import line_costs, measure_lines
from hetcomp.profile.passes import Passes
from hetcomp.profile.peaks import measure_peaks
from hetcomp.profile.probes import Room, room_of
from hetcomp.profile.threads import measure_threads
from hetcomp.profile.ticket_costs import measure_ticket_costs
from hetcomp.profile.tiers import AHEAD, measure_latencies, measure_tier, tiers_from
from hetcomp.profile.timing import Bench
from hetcomp.runtime import Session, load

__all__ = [
    "Constants",
    "is_complete",
    "limits_of",
    "measure_constants",
    "slow_down_of",
    "sync_of",
    "was_pinned",
]

Constants = Mapping[str, Mapping[str, float]]
"""Figures by the name of their stage."""

_Stage = Callable[[Bench, Room], Mapping[str, float]]
_TOGETHER: Mapping[str, _Stage] = {
    "lines": lambda bench, room: asdict(measure_lines(bench, room)),
    "border": measure_border,
    "slow-down": measure_slow_down,
    "tickets": lambda bench, room: asdict(measure_ticket_costs(bench, room)),
    "copies": lambda bench, _room: measure_copies(bench.session, bench.lock),
}
_TIER = "tier."
"""Begins the names of stages that measure a tier."""
_LATENCIES = "latencies"
_ALONE = ("start-up", "peaks", "threads")
"""Of these `threads` is measured last, behind all tiers."""


def is_complete(constants: Constants, *, gpu: bool) -> bool:
    """Whether every stage was measured; a run that was killed may have kept some of them."""
    return set(constants) >= {*_ALONE, *(_TOGETHER if gpu else ())}


def measure_constants(
    build: Build,
    lock: Path | None,
    passes: int,
    report: Callable[[str], None],
    kept: Passes,
) -> Constants:
    """Measure every stage, some passes over all of them, and take each figure's median.

    Parameters
    ----------
    build, lock
        The model of probes, and the file to hold while it is timed.
    passes
        Over all stages but those of starting up and of threads.
    report
        Hears the name of each stage before it begins.
    kept
        What an interrupted run measured is not measured again; what is measured is added.
    """
    gpu = build.gpu

    def add(stage: str, times: int, measure: Callable[[], Mapping[str, float]]) -> None:
        if kept.count(stage) < times:
            report(stage)
            kept.add(stage, measure())

    begin = time.perf_counter()
    with load(build.path, plan="gpu" if gpu else "cpu", pin="on", quiet=True) as session:
        opened_s = time.perf_counter() - begin
        add("start-up", 1, partial(_start_up, build, session, opened_s))
        bench, room = Bench(session, lock), room_of(session.graph)
        for number in range(1, passes + 1):
            add("peaks", number, partial(measure_peaks, bench, room, gpu=gpu))
            for stage, measure in _TOGETHER.items() if gpu else ():
                add(stage, number, partial(measure, bench, room))
            for stage, measure_it in _of_tiers(build, session, lock) if gpu else ():
                add(stage, number, measure_it)
    cores = len(os.sched_getaffinity(0))
    add("threads", 1, partial(measure_threads, build.path, lock, cores))
    return kept.medians()


def _of_tiers(
    build: Build, session: Session, lock: Path | None
) -> Iterator[tuple[str, Callable[[], Mapping[str, float]]]]:
    """Stages that depend on how the device can be waited for."""
    fastest = session.status().tier
    for tier in tiers_from(fastest):
        yield (
            _TIER + tier,
            partial(measure_tier, build.path, lock, tier, fastest=tier == fastest),
        )
    if fastest == AHEAD:
        yield _LATENCIES, partial(measure_latencies, session, lock)


def _start_up(build: Build, session: Session, opened_s: float) -> Mapping[str, float]:
    """`open_us` is with all caches full, `first_open_us` with none; `pinned` says whether the
    device's kernels keep to one core."""
    kernels = len(session.graph.kernels)
    return {
        "open_us": opened_s * 1e6,
        "first_open_us": first_open_us(build),
        "compile_us_per_kernel": build.compile_s * 1e6 / kernels,
        "pinned": float(session.status().gpu_pinned),
    }


def sync_of(constants: Constants) -> Mapping[str, SyncCost]:
    """What working together costs by tier, as planners want it.

    A line, border or ticket that seemed to cost nothing was not measured, since noise covered the
    difference: free transfers would mislead every plan, so that the usual cost stands in.
    """
    tiers = [stage for stage in constants if stage.startswith(_TIER)]
    if not tiers:
        return {}
    border, usual = constants["border"], SyncCost()
    crossing = copying_costs(constants["copies"]) or line_costs(constants["lines"])
    tickets = {key: us for key, us in constants["tickets"].items() if us > 0.0}
    return {
        stage.removeprefix(_TIER): SyncCost(
            **constants[stage],
            **crossing,
            **tickets,
            border_ns=border["row_ns"] or usual.border_ns,
            ahead=stage == _TIER + AHEAD,
        )
        for stage in tiers
    }


def slow_down_of(constants: Constants) -> Mapping[str, float]:
    """Factors on times while both processors work."""
    return constants.get("slow-down", {})


def was_pinned(constants: Constants) -> bool:
    """Whether the device's kernels kept to one core: all sessions ask for it, not all devices
    can."""
    return constants["start-up"]["pinned"] > 0.0


def limits_of(constants: Constants) -> Mapping[str, float]:
    """All other figures: peaks by their own names, the rest behind that of their stage.

    Those of `threads` are reported only: plans and predictions are of one CPU thread.
    """
    plain = dict(constants["peaks"])
    for stage in ("start-up", "lines", "border", "threads", "copies", _LATENCIES):
        for key, value in constants.get(stage, {}).items():
            plain[f"{stage}.{key}"] = value
    return plain
