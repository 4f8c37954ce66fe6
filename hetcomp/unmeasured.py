"""Plan `auto` for a machine that is not here, and that no RPC server reaches: nothing is measured.

A device profile of that machine predicts; without one, nothing says which processor is the faster,
and the CPU, which is there in any case, does all.
"""

from __future__ import annotations

import dataclasses

from hetcomp.cost.profile_file import load_profile
from hetcomp.errors import PlanError
from hetcomp.options import CompileOptions
from hetcomp.plan.by_times import by_times
from hetcomp.plan.forecast import profile_forecast, ranges_of
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.objective import achieved, keeps_cap
from hetcomp.plan.placement import Placement
from hetcomp.plan.planners import base_plans
from hetcomp.plan.steps import make_table

__all__ = ["unmeasured_placement"]


def unmeasured_placement(graph: TaskGraph, options: CompileOptions, target: str) -> Placement:
    """Plans for `target`, which cannot run here.

    Parameters
    ----------
    graph
        What has to run.
    options
        `profile` is one of that machine, made there; empty: everything runs on the CPU.
    target
        For messages.

    Raises
    ------
    ProfileError
        The profile cannot be read, or tells nothing of how its processors wait for each other.
    PlanError
        `strict`, and there is no profile.
    """
    if options.profile:
        return _predicted(graph, options)
    text = (
        f"all on the CPU: nothing can be measured here for {target}; give a profile that "
        "hetcomp profile made there (--profile), or where to measure (--rpc), or name a plan"
    )
    if options.strict:
        raise PlanError(f"strict: plan 'auto' would be {text}")
    base = base_plans(graph, why="not measured")
    return Placement((dataclasses.replace(base[0], name="auto"), *base), {"auto": text})


def _predicted(graph: TaskGraph, options: CompileOptions) -> Placement:
    """The plan that the profile predicts to be the fastest."""
    profile = load_profile(options.profile)
    forecast = profile_forecast(graph, profile)
    simulator = forecast.simulator(graph)
    base = base_plans(graph, forecast.costs)
    shared = by_times(
        graph,
        forecast.costs,
        forecast.sync,
        "by profile",
        times=forecast.times,
        goal=options.goal,
        contention=forecast.contention,
        limit_bytes=options.memory_limit,
    )
    plans = [shared, *base] if len(base) > 1 else [*base]
    runs = [simulator.run(make_table(graph, p, limit_bytes=options.memory_limit)) for p in plans]
    timed = [
        dataclasses.replace(plan, predicted_us=run.makespan_us)
        for plan, run in zip(plans, runs, strict=True)
    ]
    # Plan `cpu` keeps every cap.
    best = min(
        (i for i, run in enumerate(runs) if keeps_cap(options.goal, run)),
        key=lambda index: achieved(options.goal, runs[index]),
    )
    figures = ", ".join(f"{run.plan} {run.makespan_us / 1e3:.2f}" for run in runs)
    goal = "" if options.goal.is_fastest else f" for {options.goal.text}"
    notes = {
        "auto": f"{plans[best].name}, the best{goal} as profile {options.profile} predicts "
        f"(ms: {figures}); nothing was measured",
        "device": profile.device,
        "ranges": ranges_of(graph, forecast.costs),
    }
    winner = dataclasses.replace(timed[best], name="auto")
    kept = [plan for plan in timed if plan.name != shared.name]
    return Placement((winner, *kept), notes, simulator, options.goal)
