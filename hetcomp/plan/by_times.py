"""The planner that works from times: candidates, their prices, a search, and the plan with reasons.

The plan that leaves the device asleep is always compared, so that waking it must pay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hetcomp.cost.costs import Costs, SyncCost
from hetcomp.cost.npu_cost import NpuCost
from hetcomp.cost.times import Stretched, Times
from hetcomp.errors import InternalError
from hetcomp.goal import Goal
from hetcomp.plan.beside import beside, on_npu_beside
from hetcomp.plan.candidates import Choice, candidates
from hetcomp.plan.contention import Contention
from hetcomp.plan.granularity import alike_candidates, unit_starts
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.npu_way import island_us
from hetcomp.plan.objective import achieved, keeps_cap, objective_of
from hetcomp.plan.plan import Decision, Place, Plan
from hetcomp.plan.pricing import price
from hetcomp.plan.problem import Problem, make_problem
from hetcomp.plan.reasons import reason_for, why_no_npu
from hetcomp.plan.search import search
from hetcomp.plan.simulate import Simulation, Simulator, measured_times
from hetcomp.plan.steps import make_table

__all__ = ["by_times"]

_CAP_TRIALS = 8
"""Searches for the speed of the GPU that keeps its cap."""
_SLOWEST = 64.0
"""How much slower it is taken to be at most."""


def by_times(
    graph: TaskGraph,
    costs: Costs,
    sync: SyncCost,
    name: str = "auto",
    *,
    times: Times | None = None,
    goal: Goal | None = None,
    contention: Contention | None = None,
    limit_bytes: int = 0,
    tickets: bool = False,
    npu: NpuCost | None = None,
) -> Plan:
    """Place or split every task as is predicted to serve the goal best.

    Parameters
    ----------
    graph
        The tasks in execution order.
    costs
        Time of every task on either processor.
    sync
        What splitting, handing over and waking the device cost.
    name
        Name of the plan.
    times
        Times of parts of tasks; None takes those between the measured ones of `costs`.
    goal
        What to achieve; None: the least latency.
    contention
        How much the processors slow each other; None: not at all.
    limit_bytes
        Memory that the plan will have, see `make_table`; waits depend on it. 0: no limit.
    tickets
        Whether tasks may be shared by tickets, weighed against cuts by how sure the times are. Not
        where several tasks are to be placed alike.
    npu
        What the NPU takes; None: it is left out, as it is where several tasks are to be placed
        alike.

    Returns
    -------
    Plan
        Every decision carries its figures and its reason; `predicted_us` is the simulated time.
        The CPU takes everything where sharing does not pay for waking the device.
    """
    if len(costs.tasks) != len(graph.tasks):
        raise InternalError(f"{len(costs.tasks)} costs for {len(graph.tasks)} tasks")
    goal = goal or Goal()
    times = times or measured_times(graph, costs, sync)
    single = goal.granularity == "operator"
    simulator = Simulator(graph, times, sync, contention, npu if single else None)
    planner = _Planner(simulator, costs, goal, name, limit_bytes, tickets=tickets and single)
    alone = planner.cpu_only()
    shared = planner.best() if simulator.npu is None else planner.best_beside_npu()
    if not keeps_cap(goal, shared.simulation):
        shared = _within_cap(planner, goal, alone)
    return _better(goal, shared, alone)


@dataclass(frozen=True)
class _Outcome:
    """A plan and how it runs."""

    plan: Plan
    simulation: Simulation


class _Planner:
    """Plans one graph for one goal."""

    def __init__(
        self,
        simulator: Simulator,
        costs: Costs,
        goal: Goal,
        name: str,
        limit_bytes: int,
        *,
        tickets: bool,
    ) -> None:
        self._simulator, self._graph = simulator, simulator.graph
        self._costs, self._goal, self._name = costs, goal, name
        self._limit_bytes, self._tickets = limit_bytes, tickets
        self._starts = unit_starts(self._graph, goal.granularity)

    def cpu_only(self) -> _Outcome:
        """Everything on the CPU."""
        return self._outcome(self._choices(self._costs), (0,) * len(self._graph.tasks))

    def best(self, stretch: float = 1.0) -> _Outcome:
        """What the search finds where the GPU's work takes `stretch` times as long as it does."""
        objective = objective_of(self._goal)
        choices = self._choices(self._costs.stretched(1.0, stretch))
        times = Stretched(self._simulator.times, stretch)
        problem = self._problem(choices, times)
        found = search(problem, objective, starts=self._starts)
        gpu_steps = _gpu_steps(problem, found.picks)
        if gpu_steps < len(self._graph.tasks) // 2:  # it wakes up later than was assumed
            problem = self._problem(choices, times, gpu_steps)
            found = search(problem, objective, starts=self._starts)
        return self._outcome(choices, found.picks)

    def best_beside_npu(self) -> _Outcome:
        """The best that is found where branches may run beside the NPU."""
        off = self._off_npu().best().plan.decisions
        off = tuple(replace(one, npu_us=self._npu_us(i)) for i, one in enumerate(off))
        firsts = self.best(), self._simulated(off)
        first = min(firsts, key=lambda outcome: outcome.simulation.makespan_us)
        decisions = beside(
            self._graph,
            [on_npu_beside(task, one) for task, one in zip(self._graph.tasks, off, strict=True)],
            off,
            first.plan.decisions,
            lambda decisions: self._simulated(decisions).simulation.makespan_us,
        )
        return self._simulated(decisions)

    def _off_npu(self) -> _Planner:
        """A planner of CPU and GPU alone."""
        own = self._simulator
        simulator = Simulator(self._graph, own.times, own.sync, own.contention)
        return _Planner(
            simulator, self._costs, self._goal, self._name, self._limit_bytes, tickets=self._tickets
        )

    def _problem(
        self, choices: Sequence[Sequence[Choice]], times: Times, gpu_steps: int | None = None
    ) -> Problem:
        simulator = self._simulator
        return make_problem(
            self._graph,
            choices,
            times,
            simulator.sync,
            gpu_steps,
            simulator.contention,
            [cost.spread for cost in self._costs.tasks] if self._tickets else None,
            simulator.npu,
        )

    def _choices(self, costs: Costs) -> tuple[tuple[Choice, ...], ...]:
        costs = _contended(costs, self._simulator.contention)
        single = self._goal.granularity == "operator"
        if not single:
            return alike_candidates(self._graph, costs)
        sync = self._simulator.sync if self._tickets else None
        return candidates(self._graph, costs, sync, self._simulator.npu)

    def _outcome(self, choices: Sequence[Sequence[Choice]], picks: Sequence[int]) -> _Outcome:
        problem = self._problem(choices, self._simulator.times)
        decisions = []
        for index, pick in enumerate(picks):
            cost, whole = price(problem, index, picks), self._costs.tasks[index]
            options = [
                replace(
                    option,
                    decision=replace(
                        option.decision,
                        cpu_us=whole.cpu_us,
                        gpu_us=whole.gpu_us,
                        npu_us=self._npu_us(index),
                    ),
                )
                for option in choices[index]
            ]
            decision = replace(options[pick].decision, predicted_us=round(cost.total_us, 3))
            reason = reason_for(self._graph, index, options, problem.tasks[index], pick, cost)
            if whole.estimated:
                reason += f" (estimated: {', '.join(whole.estimated)})"
            reason = "; ".join(filter(None, (reason, self._why_no_npu(index, decision))))
            reason = "; for ".join(filter(None, (reason, self._goal.text)))
            decisions.append(replace(decision, reason=reason))
        return self._simulated(decisions)

    def _simulated(self, decisions: Sequence[Decision]) -> _Outcome:
        plan = Plan(self._name, tuple(decisions))
        table = make_table(self._graph, plan, limit_bytes=self._limit_bytes)
        simulation = self._simulator.run(table)
        return _Outcome(replace(plan, predicted_us=simulation.makespan_us), simulation)

    def _npu_us(self, index: int) -> float | None:
        npu = self._simulator.npu
        return None if npu is None else npu.task_us[index]

    def _why_no_npu(self, index: int, decision: Decision) -> str:
        npu = self._simulator.npu
        if npu is None or decision.npu_us is None or decision.place is Place.NPU:
            return ""
        if decision.shared_with_npu:
            return ""
        return why_no_npu(decision, island_us(self._graph, self._simulator.transfers, index, npu))


def _gpu_steps(problem: Problem, picks: Sequence[int]) -> int:
    return sum(
        bool(options.on_gpu[pick]) for options, pick in zip(problem.tasks, picks, strict=True)
    )


def _contended(costs: Costs, contention: Contention) -> Costs:
    """Whole tasks as they run beside others: splits balance by these."""
    tasks = (
        replace(
            cost,
            cpu_us=cost.cpu_us * on_cpu,
            gpu_us=None if cost.gpu_us is None else cost.gpu_us * on_gpu,
        )
        for cost, on_cpu, on_gpu in zip(costs.tasks, contention.cpu, contention.gpu, strict=True)
    )
    return replace(costs, tasks=tuple(tasks))


def _within_cap(planner: _Planner, goal: Goal, alone: _Outcome) -> _Outcome:
    """The best outcome found that keeps the cap.

    It is planned with a GPU that works ever slower, so that every split gives it less.
    """
    best, low, high = alone, 1.0, _SLOWEST
    for _ in range(_CAP_TRIALS):
        middle = math.sqrt(low * high)
        outcome = planner.best(middle)
        if not keeps_cap(goal, outcome.simulation):
            low = middle
            continue
        high = middle
        if achieved(goal, outcome.simulation) < achieved(goal, best.simulation):
            best = outcome
    return best


def _better(goal: Goal, shared: _Outcome, alone: _Outcome) -> Plan:
    if achieved(goal, alone.simulation) > achieved(goal, shared.simulation):
        return shared.plan
    if goal.objective != "latency":
        return alone.plan
    times = [outcome.simulation.makespan_us for outcome in (shared, alone)]
    note = f"sharing the network is predicted at {times[0]:.0f} µs with the wake-up of the gpu, "
    note += f"the cpu alone at {times[1]:.0f} µs"
    decisions = tuple(
        own if own.place is other.place else replace(own, reason=f"{own.reason}; {note}")
        for own, other in zip(alone.plan.decisions, shared.plan.decisions, strict=True)
    )
    return replace(alone.plan, decisions=decisions)
