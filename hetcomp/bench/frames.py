"""`hetcomp bench frames`: whether another client of the OpenCL device gets its frames in time.

The client is a process of its own with a context of its own. Sixty times a second it wants the
device for some milliseconds; where the device is a CPU core, it is pinned to that core and the
operating system's scheduler serves both. Beside it a network runs again and again, in turn: not at
all, as it is, in short launches, with a plan that leaves the device idle for a part of the time,
and with both. Everything runs at ordinary priority.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.background import start
from hetcomp.bench.networks import Progress, silent
from hetcomp.bench.options import check_known
from hetcomp.errors import DeviceError, InputError
from hetcomp.goal import Goal
from hetcomp.options import CompileOptions
from hetcomp.runtime import Session

__all__ = ["FramesOptions", "FramesRow", "bench_frames"]

_WARMUP = 3
_LEAST_S, _MOST_S = 0.1, 3600.0
_SPARE_S = 0.5
"""How long the network runs on, so that the client is never alone."""


@dataclass(frozen=True)
class FramesOptions:
    """What to run.

    Attributes
    ----------
    model, size
        See `hetcomp.bench.zoo.build`.
    busy_ms
        What a frame takes on the idle device.
    gpu_cap, slice_us
        See `hetcomp.goal.Goal` and `hetcomp.load`.
    seconds
        Of each arm, 0.1 to 3600.
    lock
        See `CompileOptions`; for compiling alone.
    """

    model: str
    _: KW_ONLY
    size: int | None = None
    busy_ms: float = 10.0
    gpu_cap: float = 0.3
    slice_us: int = 500
    seconds: float = 20.0
    lock: Path | None = None

    def __post_init__(self) -> None:
        check_known("model", [self.model], zoo.names())
        if not 0.0 < self.busy_ms < 16.0:
            raise InputError(f"a frame must take more than 0 and less than 16 ms: {self.busy_ms:g}")
        if not _LEAST_S <= self.seconds <= _MOST_S:
            raise InputError(
                f"seconds of an arm must be from {_LEAST_S:g} to {_MOST_S:g}: {self.seconds:g}"
            )


@dataclass(frozen=True)
class FramesRow:
    """One arm: what ran beside the client, its frames and their times, and ours.

    `missed` are frames that were not there when the next one was due.
    """

    arm: str
    tier: str
    frames: int
    missed: int
    frame_median_ms: float
    frame_p99_ms: float
    run_median_ms: float | None

    @property
    def missed_percent(self) -> float:
        """Of all frames."""
        return 100.0 * self.missed / max(1, self.frames)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {**asdict(self), "missed_percent": self.missed_percent}


def bench_frames(options: FramesOptions, progress: Progress | None = None) -> list[FramesRow]:
    """Compile the network with and without the cap, and run every arm."""
    report = progress or silent
    model = zoo.build(options.model, size=options.size)
    feeds = zoo.random_inputs(model)
    with tempfile.TemporaryDirectory(prefix="hetcomp-bench-") as folder:
        free, capped = Path(folder) / "free.so", Path(folder) / "capped.so"
        for path, gpu_cap in ((free, 1.0), (capped, options.gpu_cap)):
            report(f"compiling for {gpu_cap:g} of the device", 0.25 * (path == capped))
            goal = CompileOptions(goal=Goal(gpu_cap=gpu_cap), lock=options.lock)
            hetcomp.compile(model, output=path, options=goal)
        cap = f"cap {options.gpu_cap:g}"
        arms: dict[str, tuple[Path, int]] = {
            "no limit": (free, 0),
            "short launches": (free, options.slice_us),
            cap: (capped, 0),
            f"{cap}, short launches": (capped, options.slice_us),
        }
        report("nothing beside", 0.5)
        core = _device_core(free)
        rows = [_row("nothing", options, core, None, feeds)]
        for number, (arm, (path, slice_us)) in enumerate(arms.items()):
            report(arm, 0.6 + 0.1 * number)
            with hetcomp.load(path, quiet=True, gpu_slice_us=slice_us) as session:
                rows.append(_row(arm, options, core, session, feeds))
    return rows


def _device_core(path: Path) -> int:
    with hetcomp.load(path, plan="gpu", quiet=True) as session:
        status = session.status()
    if status.plan != "gpu":
        raise DeviceError(f"no OpenCL device to share: {status.why_no_gpu}")
    return status.gpu_core if status.gpu_pinned else -1


def _row(
    arm: str,
    options: FramesOptions,
    core: int,
    session: Session | None,
    feeds: Mapping[str, Any],
) -> FramesRow:
    times_ms: list[float] = []

    def run() -> None:
        if session is not None:
            begin = perf_counter()
            session.run(feeds)
            times_ms.append((perf_counter() - begin) * 1e3)

    for _ in range(_WARMUP):
        run()
    found = _frames_beside(options, core, run if session is not None else None)
    return FramesRow(
        arm=arm,
        tier=session.status().tier if session is not None else "",
        frames=found["frames"],
        missed=found["missed"],
        frame_median_ms=found["median_ms"],
        frame_p99_ms=found["p99_ms"],
        run_median_ms=median(times_ms[_WARMUP:]) if times_ms else None,
    )


def _frames_beside(
    options: FramesOptions, core: int, run: Callable[[], None] | None
) -> dict[str, Any]:
    """What the client tells, with `run` again and again beside it."""
    client = start(["frames", str(core), str(options.seconds), str(options.busy_ms)])
    end = perf_counter() + options.seconds + _SPARE_S
    try:
        while run is not None and perf_counter() < end:
            run()
        output, _ = client.communicate(timeout=options.seconds + 60.0)
    finally:
        client.kill()
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found
