"""Which plans a .so carries and which is its default: asked for, or measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from hetcomp.cost.profile_file import load_profile
from hetcomp.errors import DeviceError, PlanError
from hetcomp.machine import Machine
from hetcomp.options import CompileOptions
from hetcomp.plan.check import check_plan
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.io import read_plan
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Place, Plan
from hetcomp.plan.planners import base_plans, on_npu
from hetcomp.trial_process import measured_apart

__all__ = ["choose_plan"]

Progress = Callable[[str, float], None]
_WAITING = 0.75
"""Part of a compilation that is done when a board is waited for."""


def choose_plan(
    graph: TaskGraph,
    options: CompileOptions,
    trial: Path | None,
    progress: Progress,
) -> Placement:
    """Plans for `options.plan`.

    Parameters
    ----------
    graph
        What has to run.
    options
        `plan` names a planner or a file; `strict` makes a fallback an error.
    trial
        A linked .so to measure on; needed for `auto`.
    progress
        Called while measuring.

    Raises
    ------
    PlanError
        The plan does not fit the model, or `strict` forbids what it would fall back to.
    ProfileError
        The profile is another device's.
    DeviceError
        `strict`, and the device failed while `auto` measured.
    """
    npu = (on_npu(graph),) if options.npu else ()
    if options.plan == "auto":
        assert trial is not None
        measured = _measured(graph, options, trial, progress)
        known = {plan.name for plan in measured.plans}
        missing = tuple(plan for plan in npu if plan.name not in known)
        return dataclasses.replace(measured, plans=(*measured.plans, *missing))
    base = (*base_plans(graph), *npu)
    if options.plan_is_file:
        chosen = read_plan(options.plan)
        check_plan(graph, chosen)
        chosen = dataclasses.replace(chosen, name=_file_name(chosen, base))
    else:
        chosen = next((plan for plan in base if plan.name == options.plan), base[0])
    if options.strict:
        _check_strict(graph, options, chosen)
    others = [plan for plan in base if plan.name != chosen.name]
    return Placement((chosen, *others), {})


def _measured(
    graph: TaskGraph, options: CompileOptions, trial: Path, progress: Progress
) -> Placement:
    """Plan `auto`: measured, or all on the CPU where the device fails."""
    try:
        if options.rpc:  # nothing is loaded here
            from hetcomp.auto_plan import measured_placement

            profile = load_profile(options.profile) if options.profile else None
            return Machine.parse(options.rpc).held(
                lambda: measured_placement(options, trial, progress, profile),
                lambda text: progress(text, _WAITING),
            )
        return measured_apart(graph, options, trial, progress)
    except DeviceError as error:
        if options.strict:
            raise
        notes = {"auto": f"all on the CPU: the device failed while measuring: {error}"}
        base = base_plans(graph)
        return Placement((dataclasses.replace(base[0], name="auto"), *base), notes)


def _file_name(plan: Plan, base: tuple[Plan, ...]) -> str:
    """A plan file may be an edited `cpu` plan: the name must not hide the built-in one."""
    return f"{plan.name}-edited" if plan.name in {other.name for other in base} else plan.name


def _check_strict(graph: TaskGraph, options: CompileOptions, plan: Plan) -> None:
    if options.plan not in ("gpu", "split", "npu"):
        return
    fallen = [decision for decision in plan.decisions if decision.place is Place.CPU]
    if fallen:
        listed = "; ".join(f"{d.task}: {d.reason}" for d in fallen[:10])
        raise PlanError(
            f"strict: {len(fallen)} of {len(graph.tasks)} tasks cannot follow plan "
            f"'{options.plan}': {listed}; compile without --strict to let them run on the CPU"
        )
