"""Plans timed against each other on a trial: what plan `auto` ships."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from hetcomp.auto_npu import npu_plans, uses_npu
from hetcomp.exclusive import exclusive
from hetcomp.options import CompileOptions
from hetcomp.plan.forecast import Forecast, ranges_of
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.ladder import ladder
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Place, Plan
from hetcomp.plan.planners import base_plans
from hetcomp.plan.simulate import Simulator
from hetcomp.plan.simulation_note import note_of
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import StepTable
from hetcomp.plan.trial import Trial
from hetcomp.runtime import Session
from hetcomp.tune.calm import TableTimes
from hetcomp.tune.choice import choose
from hetcomp.tune.select import Comparison, time_tables, timed_there

__all__ = ["Contest", "zero_feeds"]

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Contest:
    """Times plans and takes the best.

    Attributes
    ----------
    session
        The trial.
    forecast
        Predicts the plans.
    options, report
        See `hetcomp.placement.choose_plan`.
    device
        Name of the machine.
    why_no_npu
        Why no plan uses the NPU; empty where some may, or nobody asked for it.
    """

    session: Session
    forecast: Forecast
    options: CompileOptions
    report: Progress
    device: str
    why_no_npu: str

    def between(self, made: Sequence[Plan], *, gpu: bool, gpu_beside_npu: bool) -> Placement:
        """The best of the plans `made`, those for one processor, and those with the NPU.

        Parameters
        ----------
        made
            Plans by times.
        gpu
            Whether plans may use the OpenCL device.
        gpu_beside_npu
            Whether a plan may use it and the NPU too.
        """
        graph = self.session.graph
        base = base_plans(graph, self.forecast.costs)
        with_npu, why_no_npu = npu_plans(
            graph, self.forecast, self.options, with_gpu=gpu and gpu_beside_npu
        )
        whole = [*(base if gpu else base[:1]), *(p for p in with_npu if p.name == "npu")]
        shared = [*made, *(p for p in with_npu if p.name != "npu")]
        found = self._timed([*shared, *whole])
        if failed := self._npu_failure():
            found = [entry for entry in found if not uses_npu(entry.plan)]
            why_no_npu = f"without the NPU, which failed while it was measured: {failed}"
        names = {plan.name for plan in whole}
        placement = self._best(found, names, self.why_no_npu or why_no_npu)
        untimed = [plan for plan in base if plan.name not in names]
        return dataclasses.replace(placement, plans=(*placement.plans, *untimed))

    def _timed(self, plans: Sequence[Plan]) -> list[_Entry]:
        graph, options = self.session.graph, self.options
        tables = [make_table(graph, plan, limit_bytes=options.memory_limit) for plan in plans]
        with exclusive(options.lock):
            times = time_tables(
                self.session,
                tables,
                zero_feeds(self.session),
                cap_seconds=options.measure_seconds,
                progress=self.report,
                time_runs=partial(timed_there, self.session) if options.rpc else None,
            )
        simulator = self._simulator
        return [_Entry.of(simulator, *entry) for entry in zip(plans, tables, times, strict=True)]

    def _npu_failure(self) -> str:
        """Why the NPU was given up; what was timed of it was the CPU then."""
        return self.session.status().why_no_npu if self.forecast.npu else ""

    @cached_property
    def _simulator(self) -> Simulator:
        return self.forecast.simulator(self.session.graph)

    def _best(self, found: Sequence[_Entry], whole: set[str], about_npu: str) -> Placement:
        graph, options, simulator = self.session.graph, self.options, self._simulator
        choice = choose(
            options.goal, [entry.trial for entry in found], [entry.times for entry in found]
        )
        timed = [entry.plan for entry in found]
        winner = self._noted(_with_reasons(graph, self.forecast, timed, choice.best, whole))
        kept = [self._noted(plan) for plan in timed if plan.name in whole]
        # The runtime changes over between tables without the NPU only.
        rungs = [] if uses_npu(winner) else self._rungs(timed)
        notes = {
            "auto": "; ".join(filter(None, (choice.text, about_npu))),
            "candidates": [
                _candidate(entry, comparison)
                for entry, comparison in zip(found, choice.comparisons, strict=True)
            ],
            "device": self.device,
            "simulation": note_of(simulator),  # of all that was simulated, the rungs too
            "ranges": ranges_of(graph, self.forecast.costs),
        }
        return Placement((winner, *kept, *rungs), notes, simulator, options.goal)

    def _noted(self, plan: Plan) -> Plan:
        """`plan` with the NPU's times, which only its own planner knows."""
        npu = self.forecast.npu
        if npu is None:
            return plan
        decisions = (
            dataclasses.replace(decision, npu_us=time_us)
            for decision, time_us in zip(plan.decisions, npu.task_us, strict=True)
        )
        return dataclasses.replace(plan, decisions=tuple(decisions))

    def _rungs(self, timed: Sequence[Plan]) -> list[Plan]:
        """Plans for slower processors, with the time that they take on these."""
        graph, options, found = self.session.graph, self.options, []
        if options.goal.objective != "latency" or not any(p.name == "gpu" for p in timed):
            return []
        for plan in ladder(graph, self.forecast, options.goal, timed, options.memory_limit):
            table = make_table(graph, plan, limit_bytes=options.memory_limit)
            makespan_us = self._simulator.run(table).makespan_us
            found.append(dataclasses.replace(plan, predicted_us=makespan_us))
        return found


@dataclass(frozen=True)
class _Entry:
    """A plan, timed."""

    plan: Plan
    trial: Trial
    times: TableTimes

    @staticmethod
    def of(simulator: Simulator, plan: Plan, table: StepTable, times: TableTimes) -> _Entry:
        trial = Trial(simulator.run(table), times.typical_us)
        predicted_us = trial.simulation.makespan_us
        plan = dataclasses.replace(plan, predicted_us=predicted_us, measured_us=trial.measured_us)
        return _Entry(plan, trial, times)


def _candidate(entry: _Entry, comparison: Comparison) -> dict[str, Any]:
    """What `explain --json` says of a plan that was timed."""
    return {
        "plan": entry.plan.name,
        "predicted_us": entry.plan.predicted_us,
        "measured_us": entry.plan.measured_us,
        "ratio_to_best_single": comparison.ratio,
        "ratio_is_measured": comparison.measured,
        "calm_rounds": comparison.calm_rounds,
        "rounds": len(entry.times.rounds),
    }


def _with_reasons(
    graph: TaskGraph, forecast: Forecast, timed: Sequence[Plan], best: int, whole: set[str]
) -> Plan:
    """The fastest plan as `auto`; one for the whole network says in every decision what it beat.

    Those named in `whole` are for the whole network, the others by times.
    """
    winner = timed[best]
    if winner.name in whole:
        figures = [f"{(plan.measured_us or 0) / 1e3:.2f} ms" for plan in timed]
        others = (f"{timed[i].name} {figures[i]}" for i in range(len(timed)) if i != best)
        why = f"whole-network plan {winner.name} {figures[best]}, chosen of {', '.join(others)}"
        plans = {plan.name: plan for plan in base_plans(graph, forecast.costs, why)}
        decisions = (plans.get(winner.name) or _because(winner, why)).decisions
        winner = dataclasses.replace(winner, decisions=decisions)
    return dataclasses.replace(winner, name="auto")


def _because(plan: Plan, why: str) -> Plan:
    """Plan `npu` with another reason for what is there."""
    decisions = (
        dataclasses.replace(decision, reason=f"npu: {why}")
        if decision.place is Place.NPU
        else decision
        for decision in plan.decisions
    )
    return dataclasses.replace(plan, decisions=tuple(decisions))


def zero_feeds(session: Session) -> dict[str, np.ndarray[Any, Any]]:
    """Inputs of zeros, which are valid indices too."""
    return {info.name: np.zeros(info.shape, info.dtype) for info in session.inputs}
