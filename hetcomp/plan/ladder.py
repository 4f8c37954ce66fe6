"""Plans for a machine that has become slower: other shares, for the runtime to change over to.

They are made like plan `auto`, with the times of one processor stretched as a background load, a
hot core or a game on the GPU would. What changes is who computes how much, so that they cost the
model.so a step table each and no kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hetcomp.cost.times import Stretched
from hetcomp.goal import Goal
from hetcomp.plan.by_times import by_times
from hetcomp.plan.forecast import Forecast
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Decision, Place, Plan

__all__ = ["ladder", "same_placement"]

_FACTORS = (1.5, 2.0, 4.0)
"""How many times slower a processor may be: each leaves it about 10% less of the work than the one
before, of a network that both share evenly."""


def ladder(
    graph: TaskGraph,
    forecast: Forecast,
    goal: Goal,
    known: Sequence[Plan],
    limit_bytes: int = 0,
) -> tuple[Plan, ...]:
    """Plans named `auto-cpu-x2` and alike, for a CPU or GPU so many times slower.

    Those that place nothing otherwise than one of `known` or of each other are left out. Their
    decisions tell the times that were measured, not the stretched ones.
    """
    found: list[Plan] = []
    for processor in (Place.CPU, Place.GPU):
        for factor in _FACTORS:
            plan = _for_slower(graph, forecast, goal, processor, factor, limit_bytes)
            if not any(same_placement(plan, other) for other in (*known, *found)):
                found.append(plan)
    return tuple(found)


def same_placement(one: Plan, other: Plan) -> bool:
    """Whether two plans of a graph let the same processors run the same tiles, shared alike."""
    return all(
        _placing(a) == _placing(b) for a, b in zip(one.decisions, other.decisions, strict=True)
    )


def _placing(decision: Decision) -> tuple[object, ...]:
    where = decision.place, decision.partner, decision.axis, decision.cut, decision.mode
    return *where, decision.ticket, decision.cpu_leaves, decision.gpu_leaves


def _for_slower(
    graph: TaskGraph,
    forecast: Forecast,
    goal: Goal,
    processor: Place,
    factor: float,
    limit_bytes: int,
) -> Plan:
    cpu, gpu = (factor, 1.0) if processor is Place.CPU else (1.0, factor)
    plan = by_times(
        graph,
        forecast.costs.stretched(cpu, gpu),
        forecast.sync,
        f"auto-{processor.value}-x{factor:g}",
        times=Stretched(forecast.times, gpu, cpu),
        goal=goal,
        contention=forecast.contention,
        limit_bytes=limit_bytes,
    )
    decisions = (
        replace(
            decision,
            reason=f"for a {processor.value} {factor:g}x slower",
            cpu_us=cost.cpu_us,
            gpu_us=cost.gpu_us,
            predicted_us=None,
        )
        for decision, cost in zip(plan.decisions, forecast.costs.tasks, strict=True)
    )
    return replace(plan, decisions=tuple(decisions), predicted_us=None)
