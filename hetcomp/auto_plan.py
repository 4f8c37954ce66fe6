"""Plan `auto`: tasks measured or predicted, plans made by that and timed, the best one kept.

Measured on this machine, or on a board over RPC.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from hetcomp.auto_contest import Contest
from hetcomp.auto_npu import find_npu
from hetcomp.cost.cache import TimesCache
from hetcomp.cost.costs import Costs
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.profile_file import check_device
from hetcomp.devices import fingerprint
from hetcomp.errors import DeviceError, PlanError
from hetcomp.exclusive import exclusive
from hetcomp.machine import Machine
from hetcomp.options import CompileOptions
from hetcomp.plan.by_times import by_times
from hetcomp.plan.forecast import Forecast, measured_forecast, profile_forecast
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.ladder import same_placement
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Plan
from hetcomp.plan.planners import base_plans
from hetcomp.runtime import Session
from hetcomp.tune.measure import MeasureOptions, measure
from hetcomp.tune.priority import favoured

__all__ = ["measured_placement", "opened"]

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
    PlanError
        `strict`, and a processor that was asked for cannot be used.
    """

    def report(text: str, done: float) -> None:
        progress(text, 0.75 + 0.2 * done)

    with favoured(), opened(trial, options) as session:
        graph = session.graph
        report("opening the trial", 0.0)
        why_no_gpu = _why_no_gpu(session, graph, options)
        if why_no_gpu and options.strict:
            _check_strict_cpu(options, why_no_gpu)
        device = _device_name(session, options)
        tier, memory = ("cpu", "") if why_no_gpu else _cooperation(session)
        by_profile = profile if not why_no_gpu else None
        if by_profile is not None:
            check_device(by_profile, device, options.profile)
            forecast = profile_forecast(graph, by_profile, tier)
        else:
            times = _measured(session, device, options, report, gpu=not why_no_gpu)
            forecast = measured_forecast(graph, times, tier, memory)
        with exclusive(options.lock):
            models = None if by_profile is None else by_profile.npu
            npu = find_npu(session, options, report, models)
        forecast = dataclasses.replace(forecast, npu=npu.cost)
        if why_no_gpu and npu.cost is None:
            return _all_on_cpu(graph, forecast, options, device, (why_no_gpu, npu.why_not))
        made = []
        if not why_no_gpu:
            counter = memory == "fine"  # of tickets, which both processors take
            made = _shared_plans(
                graph, forecast, options, by_profile=profile is not None, tickets=counter
            )
        contest = Contest(session, forecast, options, report, device, npu.why_not)
        placement = contest.between(made, gpu=not why_no_gpu, gpu_beside_npu=memory == "fine")
        if session.status().fallbacks:
            raise DeviceError(session.status().why_no_gpu)  # the times were the CPU's
        return placement


def _measured(
    session: Session, device: str, options: CompileOptions, report: Progress, *, gpu: bool
) -> Costs:
    cache = TimesCache() if options.use_cache else None
    limits = MeasureOptions(cap_seconds=options.measure_seconds)
    with exclusive(options.lock):
        return measure(session, device, gpu=gpu, cache=cache, options=limits, progress=report)


def _all_on_cpu(
    graph: TaskGraph,
    forecast: Forecast,
    options: CompileOptions,
    device: str,
    reasons: Sequence[str],
) -> Placement:
    """Nothing to compare."""
    cpu, *others = base_plans(graph, forecast.costs)
    text = f"all on the CPU: {'; '.join(filter(None, reasons))}"
    if options.profile:
        text += f"; the device profile {options.profile} was not used"
    notes = {"auto": text, "device": device}
    return Placement((dataclasses.replace(cpu, name="auto"), cpu, *others), notes)


def opened(trial: Path, options: CompileOptions) -> AbstractContextManager[Session]:
    """The .so `trial`, where `options` has it measured."""
    npu = options.npu_driver or "off"
    return Machine.parse(options.rpc).open(trial, plan="cpu", pin=options.pin, npu=npu)


def _device_name(session: Session, options: CompileOptions) -> str:
    """What the times belong to."""
    devices = Machine.parse(options.rpc).devices()
    return fingerprint(devices, pinned=session.status().gpu_pinned)


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
