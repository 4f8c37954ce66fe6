"""All constants of a device, stage by stage, on one model of probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Protocol

from hetcomp.cost.costs import SyncCost
from hetcomp.machine import Machine
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
from hetcomp.runtime.remote_session import OpenedModel

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
    machine: Machine,
    lock: Path | None,
    passes: int,
    report: Callable[[str], None],
    kept: Passes,
) -> Constants:
    """Measure every stage, some passes over all of them, and take each figure's median.

    Parameters
    ----------
    build, machine, lock
        The model of probes, where to measure it, and the file to hold while it is timed.
    passes
        Over all stages but those of starting up and of threads.
    report
        Hears the name of each stage before it begins.
    kept
        What an interrupted run measured is not measured again; what is measured is added.
    """

    def add(stage: str, times: int, measure: Callable[[], Mapping[str, float]]) -> None:
        if kept.count(stage) < times:
            report(stage)
            kept.add(stage, measure())

    add("start-up", 1, partial(_start_up, build, machine))
    for number in range(1, passes + 1):
        fastest = _in_one_session(build, machine, lock, partial(add, times=number))
        for tier in tiers_from(fastest) if build.gpu else ():
            measure = partial(measure_tier, build.path, machine, lock, tier)
            add(_TIER + tier, number, partial(measure, fastest=tier == fastest))
    threads = partial(measure_threads, build.path, machine, lock, machine.cores())
    add("threads", 1, threads)
    return kept.medians()


class _Add(Protocol):
    def __call__(self, stage: str, *, measure: Callable[[], Mapping[str, float]]) -> None: ...


def _in_one_session(build: Build, machine: Machine, lock: Path | None, add: _Add) -> str:
    """Measure what needs no session of its own; returns the fastest tier. No other session is open
    meanwhile, as a board has one at a time."""
    with _opened(build, machine) as found:
        session = found.session
        bench, room, tier = Bench(session, lock), room_of(session.graph), session.status().tier
        add("peaks", measure=partial(measure_peaks, bench, room, gpu=build.gpu))
        for stage, measure in _TOGETHER.items() if build.gpu else ():
            add(stage, measure=partial(measure, bench, room))
        if tier == AHEAD:
            add(_LATENCIES, measure=partial(measure_latencies, session, lock))
        return tier


def _opened(build: Build, machine: Machine) -> AbstractContextManager[OpenedModel]:
    return machine.opened(build.path, plan="gpu" if build.gpu else "cpu", pin="on")


def _start_up(build: Build, machine: Machine) -> Mapping[str, float]:
    """`open_us` is with all caches full, `first_open_us` with none; `pinned` says whether the
    device's kernels keep to one core."""
    first_us = first_open_us(build, machine)
    with _opened(build, machine):
        pass  # fills the caches
    with _opened(build, machine) as found:
        return {
            "open_us": found.open_s * 1e6,
            "first_open_us": first_us,
            "compile_us_per_kernel": build.compile_s * 1e6 / len(found.session.graph.kernels),
            "pinned": float(found.session.status().gpu_pinned),
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
