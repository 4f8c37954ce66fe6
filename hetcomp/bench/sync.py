"""`hetcomp bench sync`: what waiting for each other costs, tier by tier.

Eight small layers in a row are cut by channels, so that every half waits for both halves of the
layer before. Overhead a layer: the inference's time less that of its kernels, divided by eight. The
kernels' time is that of the processor which is longer busy, each measured alone. All tiers and both
processors take turns in one process, and overheads are taken within a round.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from hetcomp.bench.networks import Progress, silent
from hetcomp.bench.sync_chain import LAYERS, build_chain, lane_alone, split_table
from hetcomp.bench.sync_rows import Spread, SyncOptions, SyncResults, SyncRow
from hetcomp.errors import DeviceError
from hetcomp.exclusive import exclusive
from hetcomp.plan.table import StepTable
from hetcomp.runtime import RunProfile, Session, load

__all__ = ["bench_sync"]

_WARMUP = 3
_LATENCY_REPS = 200
_ENDS = ("event_us", "sleep_us", "finish_us")
"""Latencies of a kernel's end, which count from the moment at which its flag is seen."""


@dataclass(frozen=True)
class _Arm:
    """A session with its table, how to read an inference's time, and the rounds' samples."""

    session: Session
    read_us: Callable[[RunProfile], float]
    rounds: list[list[float]]

    def turn(self, reps: int) -> None:
        runs = self.session.profile(_WARMUP + reps).runs[_WARMUP:]
        self.rounds.append([self.read_us(run) for run in runs])


def bench_sync(options: SyncOptions, progress: Progress | None = None) -> SyncResults:
    """Measure all tiers of `options`.

    Raises
    ------
    DeviceError
        There is no OpenCL device, or it fails.
    """
    report = progress or silent
    with tempfile.TemporaryDirectory(prefix="hetcomp-bench-") as folder, ExitStack() as stack:
        path = Path(folder) / "chain.so"
        report("compiling", 0.0)
        table = split_table(build_chain(path, options.rows, options.width))

        def arm(chosen: StepTable, read_us: Callable[[RunProfile], float], tier: str) -> _Arm:
            session = load(path, plan="cpu", pin="on", tier=tier, quiet=True)
            stack.enter_context(session).set_table(chosen)
            return _Arm(session, read_us, [])

        tiers, left_out = {}, {}
        for tier in options.tiers:
            try:
                tiers[tier] = arm(table, lambda run: run.total_us, tier)
            except DeviceError as error:
                left_out[tier] = str(error)
        if not tiers:
            raise DeviceError(next(iter(left_out.values())))
        alone = {
            "cpu": arm(lane_alone(table, "cpu"), lambda run: run.total_us, "auto"),
            "gpu": arm(lane_alone(table, "gpu"), _gpu_us, "auto"),
        }
        arms = [*tiers.values(), *alone.values()]
        _take_turns(arms, options, lambda part: report("timing", 0.2 + 0.7 * part))
        report("latencies", 0.9)
        latencies = _latencies(alone["gpu"].session, options)
        rows = tuple(_row(tier, arm, alone, options) for tier, arm in tiers.items())
    spreads = {name: _spread(_all(arm)) for name, arm in alone.items()}
    return SyncResults(_with_ratios(rows), spreads["cpu"], spreads["gpu"], latencies, left_out)


def _take_turns(
    arms: Sequence[_Arm], options: SyncOptions, report: Callable[[float], None]
) -> None:
    """Every round in another order; nobody else may measure during one."""
    for number in range(options.rounds):
        with exclusive(options.lock):
            for turn in range(len(arms)):
                arms[(turn + number) % len(arms)].turn(options.reps)
        report((number + 1) / options.rounds)
    for arm in arms:
        if arm.session.status().device_bad:
            raise DeviceError(arm.session.status().why_no_gpu)


def _gpu_us(run: RunProfile) -> float:
    """The device's kernels, the first of which is taken to last as long as the others."""
    steps = len(run.gpu_end_us)
    return (run.gpu_end_us[-1] - run.gpu_end_us[0]) * steps / (steps - 1)


def _row(tier: str, arm: _Arm, alone: Mapping[str, _Arm], options: SyncOptions) -> SyncRow:
    ideals = [
        max(median(one.rounds[number]) for one in alone.values())
        for number in range(options.rounds)
    ]
    overheads = [
        (sample - ideal) / LAYERS
        for samples, ideal in zip(arm.rounds, ideals, strict=True)
        for sample in samples
    ]
    status = arm.session.status()
    low, middle, high = np.percentile(overheads, (10, 50, 95))
    return SyncRow(
        tier=tier,
        memory=status.memory,
        overhead_per_layer_us_median=float(middle),
        overhead_per_layer_us_p10=float(low),
        overhead_per_layer_us_p95=float(high),
        chain_us_median=median(_all(arm)),
        ideal_us=median(ideals),
        finish_ratio=None,
        layers=LAYERS,
        rounds=options.rounds,
        n=len(overheads),
    )


def _with_ratios(rows: tuple[SyncRow, ...]) -> tuple[SyncRow, ...]:
    finish = [row.overhead_per_layer_us_median for row in rows if row.tier == "finish"]
    if not finish:
        return rows
    return tuple(
        replace(row, finish_ratio=finish[0] / row.overhead_per_layer_us_median) for row in rows
    )


def _latencies(session: Session, options: SyncOptions) -> dict[str, Spread]:
    try:
        with exclusive(options.lock):
            found = asdict(session.latencies(_LATENCY_REPS))
    except DeviceError:
        return {}
    flag_us = median(found.pop("flag_us"))
    return {
        name: _spread([us - flag_us if name in _ENDS else us for us in times])
        for name, times in found.items()
    }


def _all(arm: _Arm) -> list[float]:
    return [sample for samples in arm.rounds for sample in samples]


def _spread(samples: Sequence[float]) -> Spread:
    low, middle, high = np.percentile(samples, (10, 50, 90))
    return Spread(float(middle), float(low), float(high), len(samples))
