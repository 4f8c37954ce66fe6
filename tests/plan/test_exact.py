"""The search against the exact planner, on random graphs of a few tasks.

`make test-exact` sets `HETCOMP_EXACT_GRAPHS=500`, which tries so many and larger ones, other ones
each time; else they are always the same.
"""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from plan_graphs import GraphBuilder, chain
from scipy.optimize import milp

from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.errors import InternalError
from hetcomp.plan.candidates import candidates
from hetcomp.plan.contention import Contention
from hetcomp.plan.exact import exact
from hetcomp.plan.graph import Grid, RowSpan, Task, TaskGraph
from hetcomp.plan.objective import LATENCY, THROUGHPUT, Objective, energy
from hetcomp.plan.problem import Problem, make_problem
from hetcomp.plan.search import search
from hetcomp.plan.simulate import measured_times

ASKED = int(os.environ.get("HETCOMP_EXACT_GRAPHS", "0"))
GRAPHS = ASKED or 30
TASKS = 9 if ASKED else 6
WITHIN = 1.02
OBJECTIVES = (LATENCY, THROUGHPUT, energy(3.0, 2.0), Objective(gpu=0.3))
SIZES = st.sampled_from([1 << 10, 1 << 16, 1 << 20])
SLOWER = st.sampled_from([1.0, 1.2, 1.5])
EQUAL = 1e-6
"""Relative gap that the solver may leave."""


@st.composite
def graphs(draw: st.DrawFn) -> TaskGraph:
    """Each task reads one or two of the last tensors; some have nothing to cut or no kernel."""
    builder = GraphBuilder()
    tensors = [builder.tensor(draw(SIZES))]
    for _ in range(draw(st.integers(3, TASKS))):
        read = draw(st.lists(st.sampled_from(tensors[-3:]), min_size=1, max_size=2, unique=True))
        out = builder.tensor(draw(SIZES))
        builder.task(
            read,
            [out],
            rows=Grid(draw(st.sampled_from([1, 4]))),
            channels=Grid(draw(st.sampled_from([1, 2]))),
            opencl=draw(st.integers(0, 9)) > 0,
        )
        tensors.append(out)
    graph = builder.graph(tensors[:1], tensors[-1:])
    return replace(graph, tasks=tuple(draw(spanned(graph, task)) for task in graph.tasks))


@st.composite
def spanned(draw: st.DrawFn, graph: TaskGraph, task: Task) -> Task:
    """`task`, which may say which rows its tiles touch, those of its inputs with a halo."""
    if not draw(st.booleans()):
        return task
    halos = [draw(st.integers(0, 1)) for _ in task.inputs] + [0] * len(task.outputs)
    steps = [graph.tensors[i].size_bytes // task.rows.extent for i in task.inputs + task.outputs]
    spans = (
        RowSpan(-halo * step, step, (1 + 2 * halo) * step)
        for halo, step in zip(halos, steps, strict=True)
    )
    return replace(task, row_spans=tuple(spans))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    graph = draw(graphs())
    times = st.tuples(st.floats(3.0, 300.0), st.floats(0.5, 2.0))
    pairs = [draw(times) for _ in graph.tasks]
    note(f"cpu times and ratios: {pairs}")
    costs = Costs(tuple(TaskCost(cpu_us, cpu_us * ratio) for cpu_us, ratio in pairs))
    sync = SyncCost(wake_us=draw(st.sampled_from([0.0, 24.0])))
    slow = Contention(
        tuple(draw(SLOWER) for _ in graph.tasks), tuple(draw(SLOWER) for _ in graph.tasks)
    )
    tickets = draw(st.booleans())
    return make_problem(
        graph,
        candidates(graph, costs, sync if tickets else None),
        measured_times(graph, costs, sync),
        sync,
        contention=slow,
        spreads=[cost.spread for cost in costs.tasks] if tickets else None,
    )


@settings(
    max_examples=GRAPHS,
    derandomize=not ASKED,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(problem=problems(), objective=st.sampled_from(OBJECTIVES))
def test_the_search_is_within_two_percent_of_the_best(
    problem: Problem, objective: Objective
) -> None:
    found, best = search(problem, objective), exact(problem, objective)
    assert best.value <= found.value * (1.0 + EQUAL)
    assert found.value <= best.value * WITHIN


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_every_objective_is_the_same_in_both(objective: Objective) -> None:
    graph = chain(4, size_bytes=1 << 16)
    costs = Costs(tuple(TaskCost(50.0 + 30 * i, 90.0 - 10 * i) for i in range(4)))
    sync = SyncCost()
    problem = make_problem(
        graph, candidates(graph, costs), measured_times(graph, costs, sync), sync
    )
    assert search(problem, objective).value == pytest.approx(exact(problem, objective).value)


def test_twenty_tasks_are_solved_exactly() -> None:
    """With branches, halves, and every third task without a kernel for the GPU."""
    builder = GraphBuilder()
    tensors = [builder.tensor(1 << 16)]
    for i in range(20):
        read = [tensors[-1], *([tensors[-3]] if i % 4 == 3 else [])]
        out = builder.tensor(1 << 16)
        builder.task(read, [out], rows=Grid(2), channels=Grid(1), opencl=i % 3 != 1)
        tensors.append(out)
    graph = builder.graph(tensors[:1], tensors[-1:])
    times = [(40.0 + 37.0 * i % 250.0, (0.3, 3.0)[i % 2]) for i in range(20)]
    costs = Costs(tuple(TaskCost(cpu_us, ratio * cpu_us) for cpu_us, ratio in times))
    problem = make_problem(
        graph, candidates(graph, costs), measured_times(graph, costs, SyncCost()), SyncCost()
    )
    best = exact(problem, time_limit_s=300.0)
    assert best.value <= (found := search(problem).value) * (1.0 + EQUAL)
    assert found <= best.value * WITHIN


def test_a_failure_of_the_solver_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def failing_once(*arguments: Any, **options: Any) -> Any:
        tried.append(options["options"]["presolve"])
        return SimpleNamespace(status=4) if len(tried) == 1 else milp(*arguments, **options)

    monkeypatch.setattr("hetcomp.plan.exact.milp", failing_once)
    graph = chain(3)
    costs, sync = Costs((TaskCost(50.0, 60.0),) * 3), SyncCost()
    problem = make_problem(
        graph, candidates(graph, costs), measured_times(graph, costs, sync), sync
    )
    assert exact(problem).value == pytest.approx(search(problem).value)
    assert tried == [True, False]


def test_no_time_is_an_error() -> None:
    graph = chain(12, size_bytes=1 << 16)
    costs = Costs((TaskCost(100.0, 110.0),) * 12)
    problem = make_problem(
        graph, candidates(graph, costs), measured_times(graph, costs, SyncCost()), SyncCost()
    )
    with pytest.raises(InternalError, match="no exact plan of 12 tasks"):
        exact(problem, time_limit_s=1e-3)
