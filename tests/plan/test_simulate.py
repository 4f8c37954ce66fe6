"""The simulator on tables and times made up so that the answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plan_graphs import GraphBuilder, chain

from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.cost.profile import DeviceProfile
from hetcomp.errors import InternalError
from hetcomp.plan.contention import Contention, contention_of
from hetcomp.plan.graph import Grid, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan
from hetcomp.plan.planners import fixed_split, single
from hetcomp.plan.replay import Lane, replay
from hetcomp.plan.simulate import Simulation, Simulator, measured_times
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import Step, StepTable

FREE = SyncCost(0, 0, 0, 0, 0, 0, 0, 0, 0)


def run(
    graph: TaskGraph,
    plan: Plan,
    cost: TaskCost,
    sync: SyncCost = FREE,
    contention: Contention | None = None,
) -> Simulation:
    times = measured_times(graph, Costs((cost,) * len(graph.tasks)), sync)
    return Simulator(graph, times, sync, contention).run(make_table(graph, plan))


def test_tickets_are_taken_one_by_one() -> None:
    """Eight tickets of 7.5 and of 15 µs."""
    graph = chain(1)
    decision = Decision("task0", Place.SPLIT, Axis.ROWS, 5, Mode.TICKETS, 1)
    free = replace(FREE, cpu_ticket_us=0.0, gpu_ticket_us=0.0)
    found = run(graph, Plan("p", (decision,)), TaskCost(60.0, 120.0), free)
    assert [found.cpu.busy_us, found.gpu.busy_us] == pytest.approx([37.5, 45.0])
    leaves = replace(decision, gpu_leaves=2)
    found = run(graph, Plan("p", (leaves,)), TaskCost(60.0, 120.0), free)
    assert [found.cpu.busy_us, found.gpu.busy_us] == pytest.approx([45.0, 30.0])
    dear = replace(free, cpu_ticket_us=2.5)
    found = run(graph, Plan("p", (leaves,)), TaskCost(60.0, 120.0), dear)
    assert found.cpu.busy_us == pytest.approx(60.0)


def test_tickets_end_together_whatever_was_predicted() -> None:
    graph = chain(1, rows=Grid(64))
    decision = Decision("task0", Place.SPLIT, Axis.ROWS, 32, Mode.TICKETS, 2)
    static = replace(decision, mode=Mode.STATIC)
    for cpu_us, gpu_us in ((100.0, 100.0), (150.0, 100.0), (100.0, 300.0)):
        best_us = 1.0 / (1.0 / cpu_us + 1.0 / gpu_us)
        plans = (Plan("p", (item,)) for item in (decision, static))
        shared, cut = (run(graph, plan, TaskCost(cpu_us, gpu_us)) for plan in plans)
        assert shared.makespan_us < best_us + 32 * 0.3 + 2.0 * max(cpu_us, gpu_us) / 64
        assert cut.makespan_us == pytest.approx(max(cpu_us, gpu_us) / 2.0)


def test_one_processor_takes_the_sum_of_its_times() -> None:
    graph = chain(3)
    found = run(graph, single(graph, Place.CPU), TaskCost(100.0, 70.0), SyncCost())
    assert found.makespan_us == pytest.approx(300.0)
    assert found.cpu.busy_us == pytest.approx(300.0)
    assert found.cpu.wait_us == 0.0
    assert found.gpu.spans == ()
    assert found.cpu.tasks == (0, 1, 2)


def test_branches_overlap() -> None:
    builder = GraphBuilder()
    x, a, b = (builder.tensor() for _ in range(3))
    builder.task([x], [a])
    builder.task([x], [b])
    graph = builder.graph([x], [a, b])
    plan = Plan("p", (Decision("task0", Place.GPU), Decision("task1", Place.CPU)))
    assert run(graph, plan, TaskCost(100.0, 100.0)).makespan_us == pytest.approx(100.0)


def test_the_faster_side_of_a_split_waits() -> None:
    graph = chain(2)
    found = run(graph, fixed_split(graph), TaskCost(60.0, 100.0))
    assert found.makespan_us == pytest.approx(100.0)
    assert [span.start_us for span in found.cpu.spans] == pytest.approx([0.0, 50.0])
    assert found.cpu.wait_us == pytest.approx(20.0)
    assert found.gpu.wait_us == 0.0


@pytest.mark.parametrize(("ahead", "start_us"), [(True, 15.0), (False, 5.0)])
def test_steps_that_wait_are_enqueued_later_unless_ahead(ahead: bool, start_us: float) -> None:
    graph = chain(2)
    sync = replace(FREE, first_enqueue_us=5.0, enqueue_us=10.0, ahead=ahead)
    found = run(graph, fixed_split(graph), TaskCost(60.0, 100.0), sync)
    assert found.cpu.spans[0].start_us == pytest.approx(start_us)


def test_every_cost_of_working_together_is_counted() -> None:
    graph = chain(2, rows=Grid(2), channels=Grid(2), size_bytes=64 * 1000)
    sync = SyncCost(
        split_us=4.0, handover_us=0.0, gpu_launch_us=2.0, to_gpu_line_ns=10.0, to_cpu_line_ns=20.0,
        enqueue_us=1.0, first_enqueue_us=5.0, wake_us=7.0, border_ns=3000.0,
    )  # fmt: skip
    by_rows = fixed_split(graph)
    by_channels = replace(by_rows.decisions[1], axis=Axis.CHANNELS)
    plan = replace(by_rows, decisions=(by_rows.decisions[0], by_channels))
    found = run(graph, plan, TaskCost(100.0, 102.0), sync)
    first, second = found.cpu.spans
    # The host wrote the input: the GPU takes over its half, 500 lines of 10 ns; the CPU of 20.
    assert found.gpu.spans[0].end_us - found.gpu.spans[0].start_us == pytest.approx(50 + 2 + 5)
    assert found.gpu.spans[0].start_us == pytest.approx(5.0 + 7.0)
    assert (first.start_us, first.end_us) == pytest.approx((6.0, 56.0))
    # All channels need all rows, so that half of the input crosses: 500 lines, and a wait. The
    # output's only row has a border.
    assert second.end_us - second.start_us == pytest.approx(50 + 10 + 4 + 3)
    assert found.makespan_us == pytest.approx(69 + 50 + 10 + 4 + 3)


def test_where_memory_is_not_shared_each_copy_costs() -> None:
    builder = GraphBuilder()
    tensors = [builder.tensor(64 * 1000) for _ in range(4)]
    for i in range(2):
        builder.task(tensors[i : i + 1], tensors[i + 1 : i + 2])
    builder.task(tensors[1:3], tensors[3:])
    graph = builder.graph(tensors[:1], tensors[3:])
    sync = replace(FREE, to_cpu_copy_us=3.0, to_gpu_copy_us=5.0, to_cpu_line_ns=10.0)
    places = (Place.GPU, Place.GPU, Place.CPU)
    alone = {place: single(graph, place).decisions for place in places}
    plan = Plan("mixed", tuple(alone[place][i] for i, place in enumerate(places)))
    found = run(graph, plan, TaskCost(100.0, 50.0), sync)
    times = [span.end_us - span.start_us for span in (*found.gpu.spans, *found.cpu.spans)]
    assert times == pytest.approx([50.0 + 5.0, 50.0, 100.0 + 2 * (3.0 + 10.0)])


def test_contention_lasts_while_both_run() -> None:
    graph = chain(1)
    contention = Contention(cpu=(2.0,), gpu=(1.0,))
    found = run(graph, fixed_split(graph), TaskCost(120.0, 80.0), FREE, contention)
    # The GPU ends after 40 us, in which the CPU did 20 of its 60.
    assert found.gpu.spans[0].end_us == pytest.approx(40.0)
    assert found.makespan_us == pytest.approx(80.0)
    alone = run(graph, single(graph, Place.CPU), TaskCost(120.0, 80.0), FREE, contention)
    assert alone.makespan_us == pytest.approx(120.0)


def test_contention_goes_by_what_bounds_the_task() -> None:
    graph = chain(1)
    task = replace(graph.tasks[0], flops=1000, weight_bytes=1000)
    profile = DeviceProfile(
        device="d",
        machine={},
        seed=0,
        sync={},
        slow_down={"cpu.memory": 1.5, "gpu.compute": 1.1},
        limits={
            "cpu.flops_per_us": 100.0, "cpu.bytes_per_us": 10.0,
            "gpu.flops_per_us": 10.0, "gpu.bytes_per_us": 1000.0,
        },
    )  # fmt: skip
    found = contention_of(replace(graph, tasks=(task,)), profile)
    assert found == Contention(cpu=(1.5,), gpu=(1.1,))
    unknown = contention_of(graph, replace(profile, limits={}, slow_down={}))
    assert unknown == Contention.none(1)


def test_a_part_is_asked_for_once() -> None:
    graph = chain(4)
    asked: list[int] = []
    known = measured_times(graph, Costs((TaskCost(10.0, 10.0),) * 4), FREE)

    class Counting:
        def times_us(self, parts):  # type: ignore[no-untyped-def]
            asked.append(len(parts))
            return known.times_us(parts)

    simulator = Simulator(graph, Counting(), FREE)
    table = make_table(graph, fixed_split(graph))
    assert simulator.run(table) == simulator.run(table)
    assert asked == [8]


def test_a_deadlock_is_an_error() -> None:
    lanes = (Lane([1.0], [1], [1.0]), Lane([1.0], [1], [1.0]))
    with pytest.raises(InternalError, match="wait for each other"):
        replay(*lanes, Lane([], [], []), "broken")


def test_an_empty_table_takes_no_time() -> None:
    graph = chain(1)
    simulator = Simulator(graph, measured_times(graph, Costs((TaskCost(1.0, 1.0),)), FREE), FREE)
    assert simulator.run(StepTable("empty", (), (), (), 0)).makespan_us == 0.0
    step = Step(0, 0, 8, 0, 4)
    assert simulator.run(StepTable("one", (step,), (), (), 0)).makespan_us == 1.0
