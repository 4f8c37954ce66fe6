"""Plan `auto`: tasks measured or predicted, plans made by that and timed, the best one kept.

Measured on this machine, or over RPC on one of its kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hetcomp.cost.cache import TimesCache
from hetcomp.cost.costs import Costs
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.profile_file import check_device
from hetcomp.devices import describe_devices, fingerprint
from hetcomp.errors import DeviceError, PlanError
from hetcomp.exclusive import exclusive
from hetcomp.options import CompileOptions
from hetcomp.plan.by_times import by_times
from hetcomp.plan.forecast import Forecast, measured_forecast, profile_forecast, ranges_of
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.ladder import ladder, same_placement
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Plan
from hetcomp.plan.planners import base_plans
from hetcomp.plan.simulate import Simulator
from hetcomp.plan.simulation_note import note_of
from hetcomp.plan.steps import make_table
from hetcomp.plan.trial import Trial
from hetcomp.remote import Remote
from hetcomp.remote_session import open_remote
from hetcomp.runtime import Session, load
from hetcomp.tune.calm import TableTimes
from hetcomp.tune.choice import choose
from hetcomp.tune.measure import MeasureOptions, measure
from hetcomp.tune.priority import favoured
from hetcomp.tune.select import Comparison, time_tables, timed_there

__all__ = ["measured_placement", "opened", "zero_feeds"]

Progress = Callable[[str, float], None]
_SPARE = 0.8
"""Part of the cap on the GPU that a second plan is made for."""


def measured_placement(
    options: CompileOptions,
    trial: Path,
    progress: Progress,
    profile: DeviceProfile | None,
) -> Placement:
    """Time or predict every task on either processor, plan by that, time the plans, keep the best.

    Parameters
    ----------
    options, trial, progress
        See `hetcomp.placement.choose_plan`.
    profile
        Predicts the tasks' times; None measures them.

    Raises
    ------
    DeviceError
        OpenCL failed while it was measured.
    """

    def report(text: str, done: float) -> None:
        progress(text, 0.75 + 0.2 * done)

    cache = TimesCache() if options.use_cache and not options.rpc else None
    limits = MeasureOptions(cap_seconds=options.measure_seconds)
    with favoured(), opened(trial, options) as session:
        graph = session.graph
        report("opening the trial", 0.0)
        why_no_gpu = _why_no_gpu(session, graph, options)
        if why_no_gpu and options.strict:
            _check_strict_cpu(options, why_no_gpu)
        device = _device_name(session, options)
        tier, memory = ("cpu", "") if why_no_gpu else _cooperation(session)
        if profile is not None and not why_no_gpu:
            check_device(profile, device, options.profile)
            forecast = profile_forecast(graph, profile, tier)
        else:
            with exclusive(options.lock):
                times = measure(
                    session,
                    device,
                    gpu=not why_no_gpu,
                    cache=cache,
                    options=limits,
                    progress=report,
                )
            forecast = measured_forecast(graph, times, tier, memory)
        plans = base_plans(graph, forecast.costs)
        if why_no_gpu:
            cpu = plans[0]
            text = f"all on the CPU: {why_no_gpu}"
            if profile is not None:
                text += f"; the device profile {options.profile} was not used"
            notes = {"auto": text, "device": device}
            return Placement((dataclasses.replace(cpu, name="auto"), *plans), notes)
        counter = memory == "fine"  # of tickets, which both processors take
        shared = _shared_plans(
            graph, forecast, options, by_profile=profile is not None, tickets=counter
        )
        placement = _compare(session, graph, forecast, shared, plans, options, report, device)
        if session.status().fallbacks:
            raise DeviceError(session.status().why_no_gpu)  # the times were the CPU's
        return placement


def opened(trial: Path, options: CompileOptions) -> AbstractContextManager[Session]:
    """The .so `trial`, where `options` has it measured."""
    if options.rpc:
        return open_remote(trial, Remote.parse(options.rpc), plan="cpu", pin=options.pin)
    return load(trial, plan="cpu", pin=options.pin, quiet=True)


def _device_name(session: Session, options: CompileOptions) -> str:
    """What the times belong to; of a remote's processors only its OpenCL device is known here."""
    if options.rpc:
        return f"rpc {options.rpc} {session.status().device}".strip()
    return fingerprint(describe_devices(), pinned=session.status().gpu_pinned)


def _check_strict_cpu(options: CompileOptions, why_no_gpu: str) -> None:
    """What was asked for and cannot be had where everything runs on the CPU."""
    if options.gpu:
        raise PlanError(f"strict: plan 'auto' cannot use the OpenCL device: {why_no_gpu}")
    if options.profile:
        raise PlanError(f"strict: device profile {options.profile} is of no use: {why_no_gpu}")


def _why_no_gpu(session: Session, graph: TaskGraph, options: CompileOptions) -> str:
    if not options.gpu:
        return "compiled without OpenCL kernels"
    if not any(kernel.opencl for kernel in graph.kernels):
        return "no task has an OpenCL kernel"
    session.use_plan("gpu")
    reason = session.status().why_no_gpu
    session.use_plan("cpu")
    return reason


def _cooperation(session: Session) -> tuple[str, str]:
    """How this session waits for the device when it uses it, and where the tensors of both are."""
    session.use_plan("gpu")
    status = session.status()
    session.use_plan("cpu")
    return status.tier, status.memory


def _compare(
    session: Session,
    graph: TaskGraph,
    forecast: Forecast,
    shared: Sequence[Plan],
    plans: tuple[Plan, ...],
    options: CompileOptions,
    report: Progress,
    device: str,
) -> Placement:
    candidates = [*shared, *plans]
    tables = [make_table(graph, plan, limit_bytes=options.memory_limit) for plan in candidates]
    with exclusive(options.lock):
        times = time_tables(
            session,
            tables,
            zero_feeds(session),
            cap_seconds=options.measure_seconds,
            progress=report,
            time_runs=partial(timed_there, session) if options.rpc else None,
        )
    simulator = forecast.simulator(graph)
    trials = [
        Trial(simulator.run(table), time.typical_us)
        for table, time in zip(tables, times, strict=True)
    ]
    timed = [
        dataclasses.replace(
            plan,
            predicted_us=trial.simulation.makespan_us,
            measured_us=trial.measured_us,
        )
        for plan, trial in zip(candidates, trials, strict=True)
    ]
    choice = choose(options.goal, trials, times)
    records = [
        _candidate(plan, time, comparison)
        for plan, time, comparison in zip(timed, times, choice.comparisons, strict=True)
    ]
    rungs = []
    if options.goal.objective == "latency":
        slower = ladder(graph, forecast, options.goal, timed, options.memory_limit)
        rungs = _predicted(simulator, slower, options)
    notes = {
        "auto": choice.text,
        "candidates": records,
        "device": device,
        "simulation": note_of(simulator),
        "ranges": ranges_of(graph, forecast.costs),
    }
    winner = _with_reasons(graph, forecast.costs, timed, choice.best, len(shared))
    return Placement((winner, *timed[len(shared) :], *rungs), notes, simulator, options.goal)


def _predicted(simulator: Simulator, plans: Sequence[Plan], options: CompileOptions) -> list[Plan]:
    """Plans with the time that they take on the processors as they are."""
    found = []
    for plan in plans:
        table = make_table(simulator.graph, plan, limit_bytes=options.memory_limit)
        found.append(dataclasses.replace(plan, predicted_us=simulator.run(table).makespan_us))
    return found


def _candidate(plan: Plan, times: TableTimes, comparison: Comparison) -> dict[str, Any]:
    """What `explain --json` says of a plan that was timed."""
    return {
        "plan": plan.name,
        "predicted_us": plan.predicted_us,
        "measured_us": plan.measured_us,
        "ratio_to_best_single": comparison.ratio,
        "ratio_is_measured": comparison.measured,
        "calm_rounds": comparison.calm_rounds,
        "rounds": len(times.rounds),
    }


def _shared_plans(
    graph: TaskGraph,
    forecast: Forecast,
    options: CompileOptions,
    *,
    by_profile: bool,
    tickets: bool,
) -> list[Plan]:
    """Plans by what a profile predicts; or by what halves took and by what whole tasks took: what
    halves of both processors take from a shared cache at once lies between what was measured of
    each alone. And one in which tasks take tickets where this is predicted to be faster than a cut
    that nobody is sure of."""
    plan_by = partial(
        by_times,
        graph,
        sync=forecast.sync,
        goal=options.goal,
        contention=forecast.contention,
        limit_bytes=options.memory_limit,
    )
    costs, name = forecast.costs, "by profile" if by_profile else "by times"
    plan = plan_by(costs=costs, name=name, times=forecast.times)
    others = []
    if not by_profile:
        others.append(plan_by(costs=Costs(costs.tasks, costs.device), name="by whole tasks"))
    if tickets:
        others.append(plan_by(costs=costs, name="with tickets", times=forecast.times, tickets=True))
    if 0.0 < options.goal.gpu_cap < 1.0:  # should the others be over the cap when measured
        goal = dataclasses.replace(options.goal, gpu_cap=_SPARE * options.goal.gpu_cap)
        others.append(plan_by(costs=costs, name="within cap", times=forecast.times, goal=goal))
    return [plan, *(one for one in others if not same_placement(plan, one))]


def _with_reasons(
    graph: TaskGraph, costs: Costs, timed: Sequence[Plan], best: int, shared: int
) -> Plan:
    """The fastest plan as `auto`; one for the whole network says in every decision what it beat.

    The first `shared` of `timed` are by times, the others for the whole network.
    """
    winner = timed[best]
    if best >= shared:
        figures = [f"{(plan.measured_us or 0) / 1e3:.2f} ms" for plan in timed]
        others = (f"{timed[i].name} {figures[i]}" for i in range(len(timed)) if i != best)
        why = f"whole-network plan {winner.name} {figures[best]}, chosen of {', '.join(others)}"
        decisions = base_plans(graph, costs, why)[best - shared].decisions
        winner = dataclasses.replace(winner, decisions=decisions)
    return dataclasses.replace(winner, name="auto")


def zero_feeds(session: Session) -> dict[str, np.ndarray[Any, Any]]:
    """Inputs of zeros, which are valid indices too."""
    return {info.name: np.zeros(info.shape, info.dtype) for info in session.inputs}
