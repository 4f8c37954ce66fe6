"""The NPU in plan `auto`: measured, planned with, and left out with its reason where it loses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from hetcomp.cost.costs import Costs
from hetcomp.cost.npu_cost import NpuCost
from hetcomp.cost.npu_model import NpuModel
from hetcomp.errors import PlanError
from hetcomp.options import CompileOptions
from hetcomp.plan.by_times import by_times
from hetcomp.plan.forecast import Forecast
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.npu_forecast import predicted_npu
from hetcomp.plan.plan import Place, Plan
from hetcomp.plan.planners import on_npu
from hetcomp.plan.steps import make_table
from hetcomp.runtime import Session
from hetcomp.tune.measure_npu import measure_npu

__all__ = ["FoundNpu", "find_npu", "npu_plans", "uses_npu"]

_HOPELESS = 2.0
"""A plan that is predicted to take so many times as long as another is not timed."""


@dataclass(frozen=True)
class FoundNpu:
    """The NPU of a trial.

    Attributes
    ----------
    cost
        Its times; None where it is not to be used.
    why_not
        Why; empty where nobody asked for it.
    """

    cost: NpuCost | None = None
    why_not: str = ""


def find_npu(
    session: Session,
    options: CompileOptions,
    progress: Callable[[str, float], None],
    models: Mapping[str, NpuModel] | None = None,
) -> FoundNpu:
    """Measure the driver that `options` asks for, or predict it by one of the `models`.

    Raises
    ------
    PlanError
        `strict`, and it cannot be used.
    """
    if not options.npu_driver:
        return FoundNpu()
    driver, why_not = options.npu_driver, _refused(session, options)
    model = (models or {}).get(driver)
    if model is not None and not why_not:
        return FoundNpu(predicted_npu(session.graph, driver, model))
    cost = None if why_not else measure_npu(session, driver, progress)
    if cost is None:
        why_not = why_not or session.status().why_no_npu
        if options.strict:
            raise PlanError(f"strict: plan 'auto' cannot use the NPU: {why_not}")
    return FoundNpu(cost, f"without the NPU: {why_not}" if why_not else "")


def npu_plans(
    graph: TaskGraph, forecast: Forecast, options: CompileOptions, *, with_gpu: bool
) -> tuple[list[Plan], str]:
    """Plans with the NPU to be timed, the one with all that it takes last, and what to say of it.

    Parameters
    ----------
    graph, forecast, options
        What to plan, and by what.
    with_gpu
        Whether a plan may have steps of the GPU and of the NPU.
    """
    npu = forecast.npu
    if npu is None:
        return [], ""
    costs = forecast.costs if with_gpu else _without_gpu(forecast.costs)
    planned = by_times(
        graph,
        costs,
        forecast.sync,
        "with npu",
        times=forecast.times,
        goal=options.goal,
        contention=forecast.contention,
        limit_bytes=options.memory_limit,
        npu=npu,
    )
    simulator = forecast.simulator(graph)
    whole = _as_far_as_taken(on_npu(graph, costs=forecast.costs, npu=npu), npu)
    table = make_table(graph, whole, limit_bytes=options.memory_limit)
    whole_us, best_us = simulator.run(table).makespan_us, planned.predicted_us or 0.0
    found = [planned] if uses_npu(planned) else []
    if whole_us <= _HOPELESS * best_us:
        found.append(whole)
    text = "" if found else f"without the NPU: {_slower(graph, forecast.costs, npu)}"
    return found, text


def uses_npu(plan: Plan) -> bool:
    """Whether a plan puts anything on the NPU."""
    return any(
        decision.place is Place.NPU or decision.shared_with_npu for decision in plan.decisions
    )


def _refused(session: Session, options: CompileOptions) -> str:
    """Why the NPU is not even measured; empty where it is."""
    if not any(task.npu for task in session.graph.tasks):
        return "it takes none of the tasks"
    if options.goal.objective != "latency" or options.goal.granularity != "operator":
        return f"it is planned with for latency of single operators, not for {options.goal.text}"
    return ""


def _without_gpu(costs: Costs) -> Costs:
    return replace(costs, tasks=tuple(replace(cost, gpu_us=None) for cost in costs.tasks))


def _as_far_as_taken(plan: Plan, npu: NpuCost) -> Plan:
    """`plan` with what the driver refused on the CPU."""
    decisions = (
        replace(decision, place=Place.CPU, reason=f"cpu: the NPU driver {npu.driver} refuses it")
        if decision.place is Place.NPU and time_us is None
        else decision
        for decision, time_us in zip(plan.decisions, npu.task_us, strict=True)
    )
    return replace(plan, decisions=tuple(decisions))


def _slower(graph: TaskGraph, costs: Costs, npu: NpuCost) -> str:
    """What all that the NPU takes takes there, and elsewhere."""
    taken = [i for i in range(len(graph.tasks)) if npu.task_us[i] is not None]
    there = _ms(npu.task_us[i] or 0.0 for i in taken)
    cpu = _ms(costs.tasks[i].cpu_us for i in taken)
    text = f"the {len(taken)} tasks that driver {npu.driver} takes need {there} there, "
    text += f"{cpu} on the cpu"
    if all(costs.tasks[i].gpu_us is not None for i in taken):
        text += f", {_ms(costs.tasks[i].gpu_us or 0.0 for i in taken)} on the gpu"
    return f"{text}; a region costs {npu.way.fixed_us:.0f} µs besides"


def _ms(times_us: Iterable[float]) -> str:
    return f"{sum(times_us) / 1e3:.2f} ms"
