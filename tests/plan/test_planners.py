"""What the planners decide, on costs made up so that the answer is known."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from plan_graphs import GraphBuilder, chain

from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.errors import InternalError
from hetcomp.plan.check import check_plan
from hetcomp.plan.cuts import cut_at, near_cuts
from hetcomp.plan.graph import Grid, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Place, Plan
from hetcomp.plan.planners import by_times, fixed_split, single
from hetcomp.plan.simulate import Simulator, measured_times
from hetcomp.plan.steps import make_table
from hetcomp.plan.transfer import Share, Shares, Transfers

FREE = SyncCost(0, 0, 0, 0, 0, 0, 0, 0, 0)
LAUNCHED = SyncCost(1.5, 1.0, 1.0, 7.0, 7.0, 1.1, 18.0, 23.6, 35.0)
"""A launch for each step, with the device asleep."""


def same(graph: TaskGraph, cpu_us: float, gpu_us: float | None) -> Costs:
    return Costs((TaskCost(cpu_us, gpu_us),) * len(graph.tasks))


def predicted_us(graph: TaskGraph, plan: Plan, costs: Costs, sync: SyncCost) -> float:
    times = measured_times(graph, costs, sync)
    return Simulator(graph, times, sync).run(make_table(graph, plan)).makespan_us


def test_single_keeps_what_the_gpu_cannot_do_on_the_cpu() -> None:
    graph = chain(1, opencl=False)
    decision = single(graph, Place.GPU).decisions[0]
    assert decision.place is Place.CPU
    assert decision.reason == "cpu: no OpenCL kernel: gather is not generated"
    assert single(chain(1), Place.GPU).name == "gpu"


def test_fixed_split_takes_the_preferred_axis_or_the_one_asked_for() -> None:
    graph = chain(1, axis="channels")
    assert fixed_split(graph).decisions[0].axis is Axis.CHANNELS
    forced = fixed_split(graph, 0.25, Axis.ROWS).decisions[0]
    assert (forced.axis, forced.cut) == (Axis.ROWS, 2)
    assert forced.reason.startswith("split 25% rows: asked for 25%")


def test_fixed_split_falls_back() -> None:
    other = fixed_split(chain(1, rows=Grid(1))).decisions[0]
    assert other.axis is Axis.CHANNELS
    assert "rows has no cut in 1 tiles" in other.reason
    none = fixed_split(chain(1, rows=Grid(1), channels=Grid(2, ragged=True))).decisions[0]
    assert none.place is Place.CPU
    assert none.reason == "cpu: nothing to cut, rows has 1 and channels 2 tiles"


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_fixed_split_refuses_a_share_that_is_none(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        fixed_split(chain(1), share)


@pytest.mark.parametrize("extent", range(2, 20))
@pytest.mark.parametrize("ragged", [False, True])
def test_cuts_are_legal_and_leave_both_a_tile(extent: int, ragged: bool) -> None:
    grid = Grid(extent, ragged)
    if ragged and extent == 2:
        return
    task = chain(1, rows=grid, heads=2).tasks[0]
    for percent in range(0, 101, 5):
        cuts = (cut_at(grid, percent / 100), *near_cuts(task, Axis.ROWS, percent / 100))
        assert all(0 < cut < extent and grid.legal_cut(cut) == cut for cut in cuts)


def test_heads_are_among_the_cuts() -> None:
    task = chain(1, rows=Grid(48), heads=12).tasks[0]
    assert 24 in near_cuts(task, Axis.ROWS, 0.47)


def test_by_times_balances_a_split_and_says_so() -> None:
    graph = chain(3, rows=Grid(100))
    plan = by_times(graph, same(graph, 350.0, 410.0), LAUNCHED)
    for decision in plan.decisions:
        assert decision.place is Place.SPLIT
    first, *others = (decision.cut for decision in plan.decisions)
    assert others == pytest.approx([54, 54], abs=2)
    assert 54 <= first <= 57  # the CPU takes more while the device wakes up
    assert "split 54% rows: cpu 350 µs, gpu 410 µs, predicted 189 µs + 1.5 µs sync" in (
        plan.decisions[1].reason
    )
    assert plan.predicted_us == pytest.approx(3 * 190 + 38, rel=0.03)
    check_plan(graph, plan)


def test_by_times_leaves_small_tasks_alone() -> None:
    graph = chain(4)
    plan = by_times(graph, same(graph, 2.0, 3.0), LAUNCHED)
    assert {decision.place for decision in plan.decisions} == {Place.CPU}
    assert plan.decisions[0].reason.startswith("cpu: 2.0 µs, too small to share (sync 1.5 µs)")
    assert plan.predicted_us == pytest.approx(8.0)


def test_by_times_does_not_wake_the_gpu_for_little() -> None:
    graph = chain(1)
    plan = by_times(graph, same(graph, 40.0, 40.0), LAUNCHED)
    assert plan.decisions[0].place is Place.CPU
    assert "the wake-up of the gpu" in plan.decisions[0].reason


def test_by_times_says_what_cannot_be_shared() -> None:
    builder = GraphBuilder()
    names = [builder.tensor() for _ in range(5)]
    builder.task(names[:1], names[1:2], opencl=False)
    builder.task(names[1:2], names[2:3])
    builder.task(names[2:3], names[3:4], rows=Grid(1), channels=Grid(1))
    builder.task(names[3:4], names[4:5])
    graph = builder.graph(names[:1], names[4:])
    times = ((50.0, None), (50.0, None), (50.0, 9000.0), (900.0, 900.0))
    plan = by_times(graph, Costs(tuple(TaskCost(*pair) for pair in times)), LAUNCHED)
    reasons = [decision.reason for decision in plan.decisions]
    assert reasons[0] == "cpu: no OpenCL kernel: gather is not generated"
    assert reasons[1] == "cpu: 50 µs, no time on the gpu"
    assert reasons[2].startswith("cpu: cpu 50 µs, gpu 9000 µs, nothing to cut (rows 1, channels 1")
    assert plan.decisions[3].place is Place.SPLIT


def test_by_times_uses_a_much_faster_gpu_whole() -> None:
    graph = chain(5)
    plan = by_times(graph, same(graph, 10_000.0, 50.0), LAUNCHED)
    assert {decision.place for decision in plan.decisions} == {Place.GPU}


def test_handing_over_is_priced() -> None:
    graph = chain(3, rows=Grid(1), channels=Grid(1), size_bytes=1 << 20)
    times = (TaskCost(100.0, 900.0), TaskCost(100.0, 90.0), TaskCost(100.0, 900.0))
    dear = by_times(graph, Costs(times), replace(LAUNCHED, wake_us=0, first_enqueue_us=0))
    assert {decision.place for decision in dear.decisions} == {Place.CPU}
    free = by_times(graph, Costs(times), FREE)
    assert [decision.place for decision in free.decisions] == [Place.CPU, Place.GPU, Place.CPU]


def test_by_times_is_as_good_as_every_plan_of_a_short_chain() -> None:
    graph = chain(3, rows=Grid(4), size_bytes=1 << 16)
    times = (TaskCost(30.0, 500.0), TaskCost(300.0, 200.0), TaskCost(80.0, 60.0))
    costs, sync = Costs(times), LAUNCHED
    options = [(Place.CPU, 0), (Place.GPU, 0), *((Place.SPLIT, cut) for cut in (1, 2, 3))]
    best = min(
        predicted_us(graph, Plan("x", decisions), costs, sync)
        for choice in itertools.product(options, repeat=3)
        for decisions in [
            tuple(
                Decision(task.name, place, cut=cut)
                for task, (place, cut) in zip(graph.tasks, choice, strict=True)
            )
        ]
    )
    assert by_times(graph, costs, sync).predicted_us == pytest.approx(best, rel=0.05)


@pytest.mark.parametrize(
    ("made", "used", "lines_cpu", "lines_gpu"),
    [
        (Share(0.5, Axis.ROWS), Share(0.5, Axis.ROWS), 0.0, 0.0),
        (Share(0.5, Axis.ROWS), Share(0.75, Axis.ROWS), 0.25, 0.0),
        (Share(0.75, Axis.ROWS), Share(0.25, Axis.ROWS), 0.0, 0.5),
        (Share(0.5, Axis.CHANNELS), Share(0.5, Axis.ROWS), 0.25, 0.25),
        (Share(0.25, Axis.ROWS), Share(0.5, Axis.CHANNELS), 0.75, 0.25),
        (Share(1.0), Share(0.25, Axis.ROWS), 0.0, 0.75),
        (Share(0.0), Share(1.0), 1.0, 0.0),
        (Share(1.0), Share(1.0), 0.0, 0.0),
    ],
)
def test_transfer_of_what_the_other_side_wrote(
    made: Share, used: Share, lines_cpu: float, lines_gpu: float
) -> None:
    (item,) = Transfers(chain(2, size_bytes=64_000)).inputs[1]
    to_cpu, to_gpu = item.crossing(Shares([made]), Shares([used]))
    assert to_cpu[0, 0] == pytest.approx(64_000 * lines_cpu)
    assert to_gpu[0, 0] == pytest.approx(64_000 * lines_gpu)


def test_costs_of_another_graph_are_refused() -> None:
    with pytest.raises(InternalError, match="2 costs for 1 tasks"):
        by_times(chain(1), same(chain(2), 1, 1), LAUNCHED)
