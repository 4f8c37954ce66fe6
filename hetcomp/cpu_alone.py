"""OpenCL class `gpu`: whether the CPU alone, with all kernels of its own, beats plan `auto`.

Both processors read the same weights and share one grid of tiles, and class `gpu` has kernels for
direct convolutions and for the parts of attention only: so a task's CPU kernel is direct there too.
The CPU alone has faster ones. Plan `auto` is timed against them, and ships only if it wins.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from hetcomp.auto_contest import zero_feeds
from hetcomp.auto_plan import opened
from hetcomp.exclusive import exclusive
from hetcomp.options import CompileOptions
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import base_plans, single
from hetcomp.plan.steps import make_table
from hetcomp.schedules.choice import DIRECT
from hetcomp.tune.priority import favoured
from hetcomp.tune.select import time_tables, timed_there

__all__ = ["faster", "has_own_kernels", "may_win", "noted", "time_alone_us"]

_MOST_GAIN = 4.0
"""By how much other kernels may speed the CPU up: F(4x4) takes a quarter of the products."""
_ATTENTION = "attention"


def may_win(placement: Placement, options: CompileOptions) -> bool:
    """Whether the CPU alone could beat the default plan, by how long the plans took."""
    cpu = next((plan for plan in placement.plans if plan.name == Place.CPU.value), None)
    best_us = placement.plans[0].measured_us
    if cpu is None or cpu.measured_us is None or best_us is None:
        return False  # nothing was measured
    return options.goal.objective == "latency" and cpu.measured_us < _MOST_GAIN * best_us


def has_own_kernels(graph: TaskGraph) -> bool:
    """Whether a graph for the CPU alone has kernels that class `gpu` does without."""
    fused = any(task.kind == _ATTENTION for task in graph.tasks)
    return fused or any(kernel.variant != DIRECT for kernel in graph.kernels)


def time_alone_us(graph: TaskGraph, trial: Path, options: CompileOptions) -> float:
    """Time of an inference of the .so `trial`, where and as plan `auto` was timed."""
    table = make_table(graph, single(graph, Place.CPU), limit_bytes=options.memory_limit)
    with favoured(), opened(trial, options) as session, exclusive(options.lock):
        (times,) = time_tables(
            session,
            [table],
            zero_feeds(session),
            cap_seconds=options.measure_seconds,
            time_runs=partial(timed_there, session) if options.rpc else None,
        )
    return times.typical_us


def faster(graph: TaskGraph, time_us: float, placement: Placement) -> Placement | None:
    """The plans of a .so for the CPU alone, which takes `time_us`; None where it does not win."""
    best = placement.plans[0]
    if best.measured_us is None or time_us >= best.measured_us:
        return None
    figures = f"{time_us / 1e3:.2f} ms, {best.name} of class gpu {best.measured_us / 1e3:.2f}"
    (cpu,) = base_plans(graph, why=f"with all of its kernels {figures}")
    cpu = replace(cpu, measured_us=time_us)
    text = (
        f"the CPU alone, with Winograd's method and fused attention, {figures}; --plan gpu, split "
        f"or a file keep the OpenCL kernels"
    )
    notes = {"auto": text, "device": placement.notes["device"]}
    return Placement((replace(cpu, name="auto"), cpu), notes)


def noted(time_us: float, placement: Placement) -> Placement:
    """`placement`, with a word on what it beat."""
    text = f"{placement.notes['auto']}; the CPU with all of its kernels {time_us / 1e3:.2f} ms"
    return replace(placement, notes={**placement.notes, "auto": text})
