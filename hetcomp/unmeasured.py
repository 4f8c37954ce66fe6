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
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Plan
from hetcomp.plan.planners import base_plans
from hetcomp.plan.simulate import Simulator
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
    plans = [shared] if len(base) > 1 else []
    timed = [_timed(graph, plan, simulator, options) for plan in (*plans, *base)]
    best = min(timed, key=lambda plan: plan.predicted_us or 0.0)
    figures = ", ".join(f"{plan.name} {(plan.predicted_us or 0) / 1e3:.2f}" for plan in timed)
    notes = {
        "auto": f"{best.name}, the fastest as profile {options.profile} predicts (ms: {figures}); "
        "nothing was measured",
        "device": profile.device,
        "ranges": ranges_of(graph, forecast.costs),
    }
    kept = timed[len(plans) :]
    winner = dataclasses.replace(best, name="auto")
    return Placement((winner, *kept), notes, simulator, options.goal)


def _timed(graph: TaskGraph, plan: Plan, simulator: Simulator, options: CompileOptions) -> Plan:
    table = make_table(graph, plan, limit_bytes=options.memory_limit)
    return dataclasses.replace(plan, predicted_us=simulator.run(table).makespan_us)
