"""`hetcomp bench models --sustained MIN`: latency over time while other work comes and goes.

Five phases of equal length: quiet, a process that keeps the CPU's core busy, quiet, one that keeps
the OpenCL device busy, quiet. Four sessions of the same model.so take turns, inference by
inference, so that all meet the same conditions: one that adapts, and three that stay with plan
`auto`, `cpu` or `gpu`. Everything runs at ordinary priority: what is above other work is not slowed
down by it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.background import Background, background
from hetcomp.bench.networks import Progress, Results, over_networks, silent
from hetcomp.bench.options import NetworkOptions
from hetcomp.bench.sustained_rows import ADAPTIVE, STATIC, Inference, PhaseRow, phase_rows
from hetcomp.errors import DeviceError, InputError
from hetcomp.runtime import Session, Switch

__all__ = ["LOADS", "SustainedOptions", "SustainedRun", "bench_sustained"]

LOADS = ("quiet", "cpu busy", "quiet", "opencl busy", "quiet")
"""The phases, in order."""
_WARMUP = 5


@dataclass(frozen=True)
class SustainedOptions(NetworkOptions):
    """What to run, and for how many minutes a network."""

    minutes: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.minutes > 0.0:
            raise InputError(f"minutes must be above 0, got {self.minutes:g}")


@dataclass(frozen=True)
class SustainedRun:
    """One network's rows, all its inferences, and the changes of plan of the adaptive session."""

    model: str
    rows: tuple[PhaseRow, ...]
    inferences: tuple[Inference, ...]
    switches: tuple[Switch, ...]


def bench_sustained(
    options: SustainedOptions, progress: Progress | None = None
) -> Results[SustainedRun]:
    """Compile and run every network; one that fails is noted and the others go on."""

    def measured(name: str, report: Progress) -> list[SustainedRun]:
        with tempfile.TemporaryDirectory(prefix="hetcomp-bench-") as folder:
            return [_run(options, name, Path(folder) / f"{name}.so", report)]

    return over_networks(options.models, measured, progress or silent)


def _run(options: SustainedOptions, name: str, path: Path, report: Progress) -> SustainedRun:
    model = zoo.build(name, size=options.size, qdq=options.qdq)
    feeds = zoo.random_inputs(model)
    hetcomp.compile(
        model,
        output=path,
        options=options.kernels,
        progress=lambda text, part: report(text, part / 2),
    )
    with _opened(path) as sessions:
        for session in sessions.values():
            for _ in range(_WARMUP):
                session.run(feeds)
        found = _phases(options, sessions, feeds, report)
        switches = sessions[ADAPTIVE].stats().adaptation.switches
    return SustainedRun(name, tuple(phase_rows(name, LOADS, found)), tuple(found), switches)


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, Session]]:
    """The arms' sessions by name."""
    with ExitStack() as stack:

        def opened(plan: str, adapt: str) -> Session:
            session = hetcomp.load(path, plan=plan, adapt=adapt, quiet=True)
            return stack.enter_context(session)

        sessions = {ADAPTIVE: opened("auto", "on")}
        sessions |= {plan: opened(plan, "off") for plan in STATIC}
        status = sessions["gpu"].status()
        if status.plan != "gpu":
            raise DeviceError(f"there is nothing to adapt without OpenCL: {status.why_no_gpu}")
        if not sessions[ADAPTIVE].stats().adaptation.active:
            raise DeviceError(
                "plan auto leaves the OpenCL device asleep: there is nothing to adapt"
            )
        yield sessions


def _phases(
    options: SustainedOptions,
    sessions: Mapping[str, Session],
    feeds: Mapping[str, Any],
    report: Progress,
) -> list[Inference]:
    status = sessions["gpu"].status()
    loads = {
        "quiet": None,
        "cpu busy": Background("cpu", status.cpu_core),
        "opencl busy": Background("opencl", status.gpu_core),
    }
    seconds = 60.0 * options.minutes / len(LOADS)
    found: list[Inference] = []
    origin_s = time.perf_counter()
    for phase, load in enumerate(LOADS):
        report(f"phase {load}", (1 + phase / len(LOADS)) / 2)
        with background(loads[load]):
            end_s = time.perf_counter() + seconds
            while time.perf_counter() < end_s:
                for arm, session in sessions.items():
                    begin_s = time.perf_counter()
                    session.run(feeds)
                    time_ms = (time.perf_counter() - begin_s) * 1e3
                    plan = session.status().plan
                    found.append(Inference(phase, arm, begin_s - origin_s, time_ms, plan))
    return found
