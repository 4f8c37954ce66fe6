"""Cuts or tickets: which of them the planner takes, and how large it makes tickets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from plan_graphs import chain

from hetcomp.cost.costs import Costs, Range, Spread, SyncCost, TaskCost
from hetcomp.plan.by_times import by_times
from hetcomp.plan.check import check_plan
from hetcomp.plan.graph import Grid, TaskGraph
from hetcomp.plan.plan import Decision, Mode, Place
from hetcomp.plan.sharing import expected_wait_us
from hetcomp.plan.steps import make_table
from hetcomp.plan.tickets import Rates, can_take_tickets, tickets_for

SYNC = SyncCost(cpu_ticket_us=0.3, gpu_ticket_us=0.3)
SURE, UNSURE = 1.02, 1.6


def cost(time_us: float, factor: float, gpu_us: float | None = None) -> TaskCost:
    """Of four in five such tasks the time is within `factor` of `time_us`."""
    gpu_us = gpu_us or time_us
    ranges = (Range(us / factor, us * factor, estimated=False) for us in (time_us, gpu_us))
    return TaskCost(time_us, gpu_us, *ranges)


def decide(time_us: float, factor: float, graph: TaskGraph | None = None) -> Decision:
    graph = graph or chain(1, rows=Grid(64))
    costs = Costs((cost(time_us, factor),) * len(graph.tasks))
    plan = by_times(graph, costs, SYNC, tickets=True)
    check_plan(graph, plan)
    make_table(graph, plan)
    return plan.decisions[0]


def test_tickets_where_the_times_are_not_sure() -> None:
    sure, unsure = decide(400.0, SURE), decide(400.0, UNSURE)
    assert (sure.place, sure.mode) == (Place.SPLIT, Mode.STATIC)
    assert (unsure.place, unsure.mode) == (Place.SPLIT, Mode.TICKETS)
    assert "static as the cut waits" in sure.reason
    assert "tickets would cost" in sure.reason
    assert f"tickets of {unsure.ticket} cost" in unsure.reason
    assert "a cut would wait" in unsure.reason


def test_long_tasks_take_tickets_first() -> None:
    modes = [decide(time_us, 1.15).mode for time_us in (20.0, 100.0, 1000.0, 20000.0)]
    assert modes == sorted(modes, key=[Mode.STATIC, Mode.TICKETS].index)
    assert set(modes) == set(Mode)


def test_without_tickets_nothing_changes() -> None:
    graph = chain(3, rows=Grid(64))
    costs = Costs((cost(400.0, UNSURE),) * 3)
    plan = by_times(graph, costs, SYNC)
    assert all(decision.mode is Mode.STATIC for decision in plan.decisions)
    sure = by_times(graph, Costs((cost(400.0, SURE),) * 3), SYNC)
    assert plan.decisions == sure.decisions


def test_work_groups_and_few_tiles_take_no_tickets() -> None:
    graph = chain(1, rows=Grid(64))
    groups = replace(graph, kernels=tuple(replace(k, items=(8, 8)) for k in graph.kernels))
    assert decide(400.0, UNSURE, groups).mode is Mode.STATIC
    assert decide(400.0, UNSURE, chain(1, rows=Grid(3), channels=Grid(1))).mode is Mode.STATIC
    ragged = chain(1, rows=Grid(7, ragged=True))
    assert not can_take_tickets(ragged, ragged.tasks[0], next(iter(type(decide(9.0, 1.1).axis))))


@pytest.mark.parametrize("ragged", [False, True])
def test_the_size_is_the_best_there_is(ragged: bool) -> None:
    grid = Grid(97, ragged=ragged)
    for tile_us in (0.1, 1.0, 30.0):
        rates = Rates.of(tile_us, 1.5 * tile_us, SYNC)
        tickets = tickets_for(grid, rates)
        sizes = range(2 if ragged else 1, 97 // 4 + 1)
        best = min(sizes, key=lambda size: float(rates.by_tickets_us(97, size)))
        assert tickets.size == best
        assert rates.by_tickets_us(97, best) > rates.together_us(97)
    sizes_found = [tickets_for(grid, Rates.of(us, us, SYNC)).size for us in (0.05, 0.5, 5.0, 500.0)]
    assert sizes_found == sorted(sizes_found, reverse=True)


@pytest.mark.parametrize(("slower", "left"), [(1.0, 0), (1.4, 0), (1.6, 1), (3.0, 2), (200.0, 16)])
def test_the_slower_one_leaves_what_the_other_one_ends_first(slower: float, left: int) -> None:
    rates = Rates(100.0, 100.0 * slower, 0.0, 0.0)
    grid = Grid(16)
    tickets = tickets_for(grid, rates)
    assert tickets.size == 1
    assert (tickets.cpu_leaves, tickets.gpu_leaves) == (0, left)
    assert 0 < tickets.cut < 16
    turned = tickets_for(grid, Rates(100.0 * slower, 100.0, 0.0, 0.0))
    assert (turned.cpu_leaves, turned.gpu_leaves) == (left, 0)


@pytest.mark.parametrize(("cpu_us", "gpu_us"), [(0.0, 5.0), (5.0, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("sync", [SYNC, replace(SYNC, cpu_ticket_us=0.0, gpu_ticket_us=0.0)])
def test_a_kernel_may_seem_to_take_no_time(cpu_us: float, gpu_us: float, sync: SyncCost) -> None:
    rates, grid = Rates.of(cpu_us, gpu_us, sync), Grid(16)
    tickets = tickets_for(grid, rates)
    assert rates.together_us(16) == 0.0
    assert rates.by_tickets_us(16, tickets.size) >= 0.0
    assert 0 < tickets.cut < 16


@pytest.mark.parametrize(("cpu_us", "gpu_us"), [(100.0, 100.0), (100.0, 90.0), (60.0, 100.0)])
def test_the_expected_wait_is_that_of_drawn_times(cpu_us: float, gpu_us: float) -> None:
    spread = Spread(0.10, 0.05)
    rng = np.random.default_rng(7)
    drawn = rng.standard_normal((2, 400_000))
    later = np.maximum(cpu_us * (1 + 0.10 * drawn[0]), gpu_us * (1 + 0.05 * drawn[1]))
    expected = float(later.mean()) - max(cpu_us, gpu_us)
    assert expected_wait_us(cpu_us, gpu_us, spread) == pytest.approx(expected, abs=0.05)


def test_a_range_tells_its_spread() -> None:
    sure = Range(100.0 * math.exp(-0.2 * 1.2816), 100.0 * math.exp(0.2 * 1.2816), estimated=False)
    assert sure.spread == pytest.approx(0.2)
    assert TaskCost(100.0, 100.0).spread.cpu < TaskCost(100.0, 100.0, sure).spread.cpu
