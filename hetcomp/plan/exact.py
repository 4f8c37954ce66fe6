"""The exact planner: the problem of `hetcomp.plan.problem` as a mixed-integer programme.

For graphs of up to about twenty tasks; the search is held against it. One binary variable stands
for each placement of each task. The pair of placements at the ends of an edge is a flow between
them, which makes what crosses linear; a wait holds where the flow goes through a pair that waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from hetcomp.errors import InternalError
from hetcomp.plan.objective import LATENCY, Objective
from hetcomp.plan.problem import Options, Problem
from hetcomp.plan.search import Found, search

__all__ = ["exact"]

Array = NDArray[Any]
Terms = dict[int, float]
"""A linear form: coefficients by variable."""

_SLACK = 1.05
_SOLVER_FAILED = 4
"""Status of `milp`: neither solved nor out of time. Rare, in HiGHS's presolve of a sub-problem."""


def exact(problem: Problem, objective: Objective = LATENCY, *, time_limit_s: float = 60.0) -> Found:
    """The best placements there are.

    Raises
    ------
    InternalError
        They were not found within the time limit.
    """
    # No clock passes the end of the best plan, so what the search finds bounds them all. Not
    # tightly: within its tolerances the solver takes the best plan for infeasible then.
    bound = _SLACK * search(problem, objective).value / objective.span
    programme = _Programme(problem, objective, bound)
    result = _solve(programme, time_limit_s, presolve=True)
    if result.status == _SOLVER_FAILED:
        result = _solve(programme, time_limit_s, presolve=False)
    if result.status != 0:
        raise InternalError(f"no exact plan of {len(problem.tasks)} tasks: {result.message}")
    picks = tuple(int(np.argmax(result.x[ids])) for ids in programme.picks)
    return Found(picks, float(result.fun))


def _solve(programme: _Programme, time_limit_s: float, *, presolve: bool) -> Any:
    return milp(
        programme.costs,
        integrality=programme.integrality,
        bounds=Bounds(np.zeros(len(programme.costs)), np.array(programme.upper)),
        constraints=programme.constraints(),
        options={"time_limit": time_limit_s, "mip_rel_gap": 1e-6, "presolve": presolve},
    )


class _Programme:
    """Variables and constraints, added task by task."""

    def __init__(self, problem: Problem, objective: Objective, bound: float) -> None:
        self.objective, self.bound = objective, bound
        self.costs: list[float] = []
        self.upper: list[float] = []
        self.integrality: list[int] = []
        self.picks: list[list[int]] = []
        self._clocks: list[list[int]] = [[], []]  # of CPU and GPU after every task
        self._rows: list[tuple[Terms, float, float]] = []
        span = self._variable(cost=objective.span, upper=bound)
        for options in problem.tasks:
            self._add_task(problem, options)
        for clocks in self._clocks:
            self._at_least(span, {clocks[-1]: 1.0})

    def constraints(self) -> LinearConstraint:
        """All rows, as SciPy wants them."""
        columns: list[int] = []
        values: list[float] = []
        ends = [0]
        for terms, _, _ in self._rows:
            columns += terms.keys()
            values += terms.values()
            ends.append(len(columns))
        shape = (len(self._rows), len(self.costs))
        matrix = csr_array((values, columns, ends), shape=shape)
        return LinearConstraint(
            matrix, [row[1] for row in self._rows], [row[2] for row in self._rows]
        )

    def _add_task(self, problem: Problem, options: Options) -> None:
        enqueue = self.objective.span * problem.enqueue_us
        on_gpu = options.on_gpu.tolist()
        picks = [self._variable(cost=enqueue * gpu, upper=1.0, binary=True) for gpu in on_gpu]
        self._rows.append((dict.fromkeys(picks, 1.0), 1.0, 1.0))
        flows = [self._flow(self.picks[edge.maker], picks) for edge in options.edges]
        self.picks.append(picks)
        for side in (0, 1):
            self._add_part(problem, options, picks, flows, side)

    def _flow(self, made: Sequence[int], used: Sequence[int]) -> Array:
        """Variables that are 1 for the pair of placements that is taken, shape (made, used)."""
        flow = np.array([[self._variable(upper=1.0) for _ in used] for _ in made])
        for pick, ids in zip([*made, *used], [*flow, *flow.T], strict=True):
            self._rows.append(({pick: -1.0, **{int(i): 1.0 for i in ids}}, 0.0, 0.0))
        return flow

    def _add_part(
        self,
        problem: Problem,
        options: Options,
        picks: Sequence[int],
        flows: Sequence[Array],
        side: int,
    ) -> None:
        """The clock of one processor after its part of the task; `side` is 1 for the GPU."""
        own_us = (options.cpu_us, options.gpu_us)[side]
        on = (options.on_cpu, options.on_gpu)[side]
        busy: Terms = {}
        for pick, us in zip(picks, np.where(on, own_us, 0.0).tolist(), strict=True):
            busy[pick] = us
        sync = self._variable()
        busy[sync] = 1.0
        waits = []
        for edge, flow in zip(options.edges, flows, strict=True):
            crossing_us = np.where(on, (edge.cpu_us, edge.gpu_us)[side], 0.0)
            pair_waits = (edge.cpu_waits, edge.gpu_waits)[side] & on
            busy |= _terms(flow, crossing_us)
            self._at_least(sync, _terms(flow, pair_waits * options.sync_us))
            waits.append(_terms(flow, pair_waits.astype(float)))
        weight = (self.objective.cpu, self.objective.gpu)[side]
        for variable, us in busy.items():
            self.costs[variable] += weight * us
        self._add_clock(problem, options, busy, waits, side)

    def _add_clock(
        self, problem: Problem, options: Options, busy: Terms, waits: Sequence[Terms], side: int
    ) -> None:
        clock = self._variable(upper=self.bound + problem.lag_us)
        before = self._clocks[side]
        start = 0.0 if side == 0 or before else problem.lag_us
        self._at_least(clock, {**busy, **({before[-1]: 1.0} if before else {})}, start)
        before.append(clock)
        if not self.objective.waits:
            return
        far = self.bound + problem.lag_us
        for edge, pairs in zip(options.edges, waits, strict=True):
            if pairs:
                other = {self._clocks[1 - side][edge.maker]: 1.0}
                held = dict.fromkeys(pairs, far)
                self._at_least(clock, _sum(busy, other, held), -far)

    def _at_least(self, variable: int, terms: Terms, constant: float = 0.0) -> None:
        """`variable` is no less than the form and the constant."""
        self._rows.append((_sum({variable: 1.0}, _scaled(terms, -1.0)), constant, np.inf))

    def _variable(self, *, cost: float = 0.0, upper: float = np.inf, binary: bool = False) -> int:
        self.costs.append(cost)
        self.upper.append(upper)
        self.integrality.append(int(binary))
        return len(self.costs) - 1


def _terms(variables: Array, values: Array) -> Terms:
    """The form of an array of variables, without zeros."""
    return {
        int(variable): float(value)
        for variable, value in zip(variables.ravel(), values.ravel(), strict=True)
        if value
    }


def _sum(*forms: Terms) -> Terms:
    total: Terms = {}
    for form in forms:
        for variable, value in form.items():
            total[variable] = total.get(variable, 0.0) + value
    return total


def _scaled(form: Terms, factor: float) -> Terms:
    return {variable: factor * value for variable, value in form.items()}
