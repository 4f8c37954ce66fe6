"""Regions formed by prices: what pays for its way goes to the NPU, small islands stay out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
from plan_graphs import GraphBuilder, chain, two_branches

from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.cost.npu_cost import NpuCost, SeenWay, WayThere, fit_way
from hetcomp.cost.npu_model import NpuModel, NpuWork, fit_npu
from hetcomp.cost.profile import DeviceProfile
from hetcomp.cost.profile_file import load_profile, save_profile
from hetcomp.errors import InternalError
from hetcomp.plan.by_times import by_times
from hetcomp.plan.graph import RowSpan, TaskGraph
from hetcomp.plan.npu_forecast import predicted_npu
from hetcomp.plan.plan import Axis, Place, Plan
from hetcomp.plan.planners import on_npu
from hetcomp.plan.simulate import Simulator, measured_times
from hetcomp.plan.simulation_note import note_of, noted_simulator
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import StepTable
from hetcomp.runtime.records import Profile, RunProfile, StepTimes
from hetcomp.tune.measure_npu import measure_npu

WAY = WayThere(submit_us=3.0, collect_us=2.0, latency_us=15.0, copy_ns_per_byte=1.0)
"""20 µs and 1 µs a kilobyte."""
SIZE = 1000


def planned(
    graph: TaskGraph,
    npu_us: Sequence[float | None],
    cpu_us: float = 100.0,
    gpu_us: float | None = None,
    driver: str = "amx",
) -> Plan:
    costs = Costs((TaskCost(cpu_us, gpu_us),) * len(graph.tasks))
    return by_times(graph, costs, SyncCost(), npu=NpuCost(driver, tuple(npu_us), WAY))


def places(plan: Plan) -> list[str]:
    return [decision.place.value for decision in plan.decisions]


def simulator(graph: TaskGraph, npu_us: Sequence[float | None], cpu_us: float) -> Simulator:
    costs = Costs((TaskCost(cpu_us, None),) * len(graph.tasks))
    times = measured_times(graph, costs, SyncCost())
    return Simulator(graph, times, SyncCost(), npu=NpuCost("amx", tuple(npu_us), WAY))


def test_a_fast_npu_takes_a_chain_as_one_region() -> None:
    graph = chain(4, size_bytes=SIZE, npu=True)
    plan = planned(graph, [10.0] * 4)
    assert places(plan) == ["npu"] * 4
    assert plan.predicted_us == pytest.approx(40.0 + 20.0 + 2.0)
    second = plan.decisions[1]
    assert second.reason == "npu: 10 µs, cpu 100 µs"
    assert (second.npu_us, second.cpu_us) == (10.0, 100.0)


def test_a_slow_npu_gets_nothing() -> None:
    graph = chain(3, size_bytes=SIZE, npu=True)
    plan = planned(graph, [300.0] * 3)
    assert places(plan) == ["cpu"] * 3
    assert plan.decisions[0].reason.endswith("not on the npu, where it takes 300 µs")


def test_a_small_island_stays_out_until_its_gain_pays_for_the_way() -> None:
    graph = chain(5, size_bytes=SIZE, npu=True)
    alone = planned(graph, [None, None, 85.0, None, None])
    assert places(alone) == ["cpu"] * 5
    assert alone.decisions[2].reason.endswith("not on the npu: 85 µs and 22 µs there and back")
    both = planned(graph, [None, 85.0, 85.0, None, None])
    assert places(both) == ["cpu", "npu", "npu", "cpu", "cpu"]
    assert both.predicted_us == pytest.approx(3 * 100.0 + 2 * 85.0 + 22.0)
    entered = both.decisions[1]
    assert entered.reason == "npu: 85 µs, cpu 100 µs; a region begins, 11 µs to get there"


def test_copies_count() -> None:
    graph = chain(5, size_bytes=20 * SIZE, npu=True)
    assert places(planned(graph, [None, 85.0, 85.0, None, None])) == ["cpu"] * 5
    assert places(planned(graph, [None, 60.0, 60.0, None, None]))[1:3] == ["npu", "npu"]


def test_what_the_driver_refuses_divides_regions() -> None:
    graph = chain(3, size_bytes=SIZE, npu=True)
    assert places(planned(graph, [10.0, None, 10.0])) == ["npu", "cpu", "npu"]


def test_three_processors() -> None:
    """The GPU is best for the first task, the NPU for the second, the CPU for the third."""
    graph = chain(3, size_bytes=SIZE, npu=True)
    costs = Costs((TaskCost(900.0, 100.0), TaskCost(900.0, 900.0), TaskCost(100.0, 9000.0)))
    npu = NpuCost("fast", (900.0, 100.0, 900.0), WAY)
    plan = by_times(graph, costs, SyncCost(), npu=npu)
    assert plan.decisions[1].place is Place.NPU
    shares = [decision.cut / 8 for decision in plan.decisions]
    assert plan.decisions[0].place is Place.GPU or shares[0] <= 0.25
    assert plan.decisions[2].place is Place.CPU or shares[2] >= 0.75
    table = make_table(graph, plan)
    assert table.gpu
    assert table.npu
    assert any(not step.npu for step in table.cpu)


def test_several_tasks_alike_leave_the_npu_out() -> None:
    from hetcomp.goal import Goal

    graph = chain(3, size_bytes=SIZE, npu=True)
    costs = Costs((TaskCost(100.0, None),) * 3)
    npu = NpuCost("fast", (1.0,) * 3, WAY)
    plan = by_times(graph, costs, SyncCost(), goal=Goal(granularity="model"), npu=npu)
    assert places(plan) == ["cpu"] * 3


def test_branches_beside_the_npu_are_simulated() -> None:
    """A region of 30 + 15 µs runs beside 3 x 40 µs of the CPU, which hands it over first."""
    graph = two_branches(npu=True)
    plan = on_npu(graph)
    decisions = [
        decision if index < 3 else planned_on_cpu
        for index, (decision, planned_on_cpu) in enumerate(
            zip(plan.decisions, planned(graph, [None] * 7).decisions, strict=True)
        )
    ]
    table = make_table(graph, Plan("p", tuple(decisions)))
    found = simulator(graph, [10.0] * 7, 40.0).run(table)
    bytes_us = 4096 / 1e3
    assert found.npu.spans[0].start_us == pytest.approx(3.0 + bytes_us)
    assert found.npu.busy_us == pytest.approx(45.0)
    assert found.makespan_us == pytest.approx(4 * 40.0 + 3.0 + 2.0 + 2 * bytes_us)


def test_simulating_a_region_needs_times() -> None:
    graph = chain(2, npu=True)
    table = make_table(graph, on_npu(graph))
    blind = simulator(graph, [10.0, None], 40.0)
    assert not blind.knows(table)
    with pytest.raises(InternalError, match="time there is not known"):
        blind.run(table)
    with pytest.raises(InternalError, match="no times of the NPU"):
        Simulator(graph, blind.times, SyncCost()).run(table)


def test_notes_keep_the_npus_times() -> None:
    graph = chain(2, npu=True)
    table = make_table(graph, on_npu(graph))
    own = simulator(graph, [10.0, 20.0], 40.0)
    makespan_us = own.run(table).makespan_us
    noted = noted_simulator(graph, json.loads(json.dumps(note_of(own))))
    assert noted is not None
    assert noted.run(table).makespan_us == makespan_us


def test_the_way_is_fitted() -> None:
    seen = [
        SeenWay(size, 20.0 + size / 1e3, 3.0 + size / 2e3, 2.0 + size / 2e3)
        for size in (500, 1000, 2000)
    ]
    assert asdict(fit_way(seen)) == pytest.approx(asdict(WAY))


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_a_way_that_does_not_grow_has_no_price_by_the_byte(slope: float) -> None:
    sizes = (500.0, 1000.0, 1500.0)
    way = fit_way([SeenWay(size, 20.0 + slope * (size - 1000.0) / 1e3, 3.0, 2.0) for size in sizes])
    assert (way.copy_ns_per_byte, way.fixed_us) == (0.0, pytest.approx(20.0))


@dataclass
class FakeSession:
    """Regions take 12 µs a task, and 2 µs less for each but the first; task 1 is refused."""

    graph: TaskGraph
    table: StepTable | None = None

    def set_table(self, table: StepTable) -> None:
        self.table = table

    def run(self, feeds: object) -> None:
        raise NotImplementedError

    def time_task(self, *arguments: object, **named: object) -> list[float]:
        raise NotImplementedError

    def profile(self, reps: int) -> Profile:
        assert self.table is not None
        now_us, cpu, npu = 0.0, [], list[StepTimes | None]()
        for step in self.table.cpu:
            begin_us = now_us
            if step.npu > 0:
                now_us += WAY.submit_us + WAY.copy_us(4096)
            elif step.npu < 0:
                tasks = self.table.npu[-step.npu - 1].tasks
                own_us = 10.0 * len(tasks) + 2.0
                start_us = now_us + WAY.latency_us
                npu.append(None if 1 in tasks else StepTimes(start_us, start_us + own_us, 0.0))
                now_us = start_us + own_us + WAY.collect_us + WAY.copy_us(4096)
            else:
                now_us += 100.0
            cpu.append(StepTimes(begin_us, now_us, 0.0))
        run = RunProfile(now_us, tuple(cpu), (), (), tuple(npu))
        return Profile(self.table.name, (run,) * reps)


def test_tasks_are_measured_within_regions() -> None:
    found = measure_npu(FakeSession(chain(4, npu=True)), "fast")
    assert found is not None
    assert found.task_us == pytest.approx((12.0, None, 11.0, 11.0))
    assert found.way.fixed_us + 2 * found.way.copy_us(4096) == pytest.approx(20.0 + 2 * 4.096)


def test_a_driver_that_refuses_everything_has_no_times() -> None:
    builder = GraphBuilder()
    tensors = [builder.tensor() for _ in range(3)]
    builder.task(tensors[:1], tensors[1:2])
    builder.task(tensors[1:2], tensors[2:], npu=True)
    session = FakeSession(builder.graph(tensors[:1], tensors[2:]))
    assert measure_npu(session, "fast") is None


def test_a_branch_goes_to_the_npu_beside_the_cpu() -> None:
    """The NPU is as fast as the CPU: nothing to gain in a chain, half of the time in branches."""
    assert places(planned(chain(6, size_bytes=SIZE, npu=True), [100.0] * 6)) == ["cpu"] * 6
    graph = two_branches(npu=True)
    plan = planned(graph, [100.0] * 7)
    branches = places(plan)[:3], places(plan)[3:6]
    assert sorted(branches) == [["cpu"] * 3, ["npu"] * 3]
    assert plan.predicted_us is not None
    assert plan.predicted_us < 450.0
    assert any("beside other branches" in decision.reason for decision in plan.decisions)


def shareable(graph: TaskGraph) -> TaskGraph:
    """Tasks whose rows may be cut between CPU and NPU."""
    spans = {
        task.name: tuple(
            RowSpan(0, graph.tensors[i].size_bytes // 8, graph.tensors[i].size_bytes // 8)
            for i in task.inputs + task.outputs
        )
        for task in graph.tasks
    }
    tasks = (replace(task, npu_rows=8, row_spans=spans[task.name]) for task in graph.tasks)
    return replace(graph, tasks=tuple(tasks))


def test_a_long_task_is_shared_with_an_npu_that_is_as_fast() -> None:
    graph = shareable(chain(1, size_bytes=8 * SIZE, npu=True))
    plan = planned(graph, [1000.0], cpu_us=1000.0)
    (decision,) = plan.decisions
    assert (decision.place, decision.partner, decision.cut) == (Place.SPLIT, Place.NPU, 4)
    assert plan.predicted_us == pytest.approx(500.0 + 15.0 + 3.0 + 2.0 + 8.0, rel=0.02)
    assert decision.reason.startswith("split 50% rows with the npu: cpu 1000 µs, npu 1000 µs")


def test_channels_are_shared_where_rows_cannot_be() -> None:
    """All of the inputs go there, and the NPU's part of the outputs comes back."""
    graph = chain(1, size_bytes=8 * SIZE, npu=True)
    tasks = tuple(replace(task, npu_columns=16) for task in graph.tasks)
    plan = planned(replace(graph, tasks=tasks), [1000.0], cpu_us=1000.0)
    (decision,) = plan.decisions
    assert (decision.axis, decision.partner, decision.cut) == (Axis.CHANNELS, Place.NPU, 2)
    copies_us = 8 * (1.0 + 0.5) * SIZE * WAY.copy_ns_per_byte / 1e3
    assert plan.predicted_us == pytest.approx(500.0 + WAY.fixed_us + copies_us, rel=0.02)
    assert decision.reason.startswith("split 50% channels with the npu: cpu 1000 µs, npu 1000 µs")


def test_a_driver_with_other_rounding_shares_no_task() -> None:
    graph = shareable(chain(1, size_bytes=8 * SIZE, npu=True))
    assert places(planned(graph, [1000.0], cpu_us=1001.0, driver="htp")) == ["cpu"]
    assert places(planned(graph, [500.0], cpu_us=1001.0, driver="htp")) == ["npu"]


def test_a_short_task_is_not_shared() -> None:
    graph = shareable(chain(1, size_bytes=8 * SIZE, npu=True))
    assert places(planned(graph, [40.0], cpu_us=40.0)) == ["cpu"]


def test_times_by_multiplications_and_bytes_are_fitted() -> None:
    works = [NpuWork(mmac, kib) for mmac, kib in ((0.1, 8), (1, 20), (5, 300), (40, 90), (9, 900))]
    times = [4.0 + 2.5 * work.mmac + 0.05 * work.kib for work in works]
    model = fit_npu(works, times, WAY)
    assert (model.task_us, model.us_per_mmac, model.us_per_kib) == pytest.approx((4.0, 2.5, 0.05))
    assert model.error_percent == pytest.approx(0.0, abs=1e-6)
    assert NpuModel.from_json(json.loads(json.dumps(model.to_json()))) == model


def test_a_profile_keeps_the_model_and_a_graph_is_predicted_by_it(tmp_path: Path) -> None:
    model = NpuModel(4.0, 2.5, 0.05, WAY, 7.0)
    profile = DeviceProfile("cpu", {}, 0, {}, npu={"amx": model})
    save_profile(profile, tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json").npu == {"amx": model}
    graph = chain(2, npu=True)
    tasks = (replace(graph.tasks[0], flops=8_000_000, weight_bytes=2048), graph.tasks[1])
    graph = replace(graph, tasks=(tasks[0], replace(tasks[1], npu=False)))
    cost = predicted_npu(graph, "amx", model)
    assert cost.task_us == (pytest.approx(4.0 + 10.0 + 0.1), None)
