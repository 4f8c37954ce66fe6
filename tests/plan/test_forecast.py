"""What plans are predicted by: times in a compiled model, or a profile of any device."""

from __future__ import annotations

import pytest
from plan_graphs import chain

from hetcomp.cost.costs import Costs, Range, SyncCost, TaskCost
from hetcomp.cost.profile import DeviceProfile
from hetcomp.errors import ProfileError
from hetcomp.plan.by_times import by_times
from hetcomp.plan.contention import Contention
from hetcomp.plan.forecast import (
    measured_forecast,
    noted_forecast,
    profile_forecast,
    ranges_of,
)
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import fixed_split, single
from hetcomp.plan.steps import make_table

LIMITS = {
    "cpu.flops_per_us": 1e5, "cpu.bytes_per_us": 1e4, "cpu.near_bytes_per_us": 1e5,
    "gpu.flops_per_us": 2e5, "gpu.bytes_per_us": 1e4, "gpu.near_bytes_per_us": 1e5,
}  # fmt: skip


def profile(**sync: SyncCost) -> DeviceProfile:
    slow_down = {"cpu.compute": 1.2, "gpu.compute": 1.1, "cpu.memory": 1.2, "gpu.memory": 1.1}
    return DeviceProfile("elsewhere", {}, 0, sync, slow_down, LIMITS)


def test_times_come_from_the_first_plan_that_has_them_all() -> None:
    graph = chain(2)
    costs = Costs((TaskCost(10.0, 8.0), TaskCost(20.0, None)))
    without, known = single(graph, Place.CPU), single(graph, Place.GPU, costs)
    found = noted_forecast(graph, (without, known))
    assert found is not None
    assert found.costs == costs
    assert noted_forecast(graph, (without,)) is None
    table = make_table(graph, without)
    assert found.simulator(graph).run(table).makespan_us == pytest.approx(30.0)


def test_a_profile_of_another_device_predicts_every_plan() -> None:
    graph = chain(3, opencl=False)
    found = profile_forecast(graph, profile(**{"svm-ahead": SyncCost(gpu_launch_us=3.0)}))
    assert found.costs.device == "elsewhere"
    assert all(cost.gpu_us is None and cost.cpu_us > 0.0 for cost in found.costs.tasks)
    assert found.sync.gpu_launch_us == 3.0
    assert found.contention == Contention((1.2,) * 3, (1.1,) * 3)
    shared = chain(3)
    both = profile_forecast(shared, profile(**{"svm-ahead": SyncCost()}))
    run = both.simulator(shared).run(make_table(shared, fixed_split(shared)))
    assert 0.0 < run.gpu.busy_us < run.makespan_us
    launched = [cost.gpu_us or 0.0 for cost in both.costs.tasks]
    assert min(launched) >= SyncCost().gpu_launch_us


def test_measured_times_are_planned_with_the_costs_of_the_tier() -> None:
    graph = chain(1)
    tiers = ("svm-ahead", "svm", "event", "finish")
    found = [
        measured_forecast(graph, Costs((TaskCost(9.0, 9.0),)), tier).sync.split_us for tier in tiers
    ]
    assert found == sorted(set(found))


@pytest.mark.parametrize("memory", ["coarse", "buffer"])
def test_memory_that_is_not_shared_is_dearer(memory: str) -> None:
    graph, costs = chain(1), Costs((TaskCost(9.0, 9.0),))
    shared = measured_forecast(graph, costs, "event").sync
    copied = measured_forecast(graph, costs, "event", memory).sync
    assert copied.split_us == shared.split_us
    assert copied.to_gpu_us(64) > shared.to_gpu_us(64) + 5.0
    assert copied.to_cpu_us([0, 64])[0] == 0.0
    assert copied.to_cpu_us([0, 64])[1] > 3.0


def test_a_tier_that_was_not_measured_is_refused() -> None:
    with pytest.raises(ProfileError, match="no costs of tier 'svm-ahead' but of: event"):
        profile_forecast(chain(1), profile(event=SyncCost()), "svm-ahead")
    with pytest.raises(ProfileError, match="but of: none"):
        profile_forecast(chain(1), profile())


def test_slower_tiers_are_predicted_slower() -> None:
    graph = chain(3)
    known = profile(svm=SyncCost(ahead=False), finish=SyncCost(split_us=50.0, ahead=False))
    fastest, svm, finish = (
        profile_forecast(graph, known, tier) for tier in (None, "svm", "finish")
    )
    assert fastest.sync == svm.sync == known.sync["svm"]
    table = make_table(graph, fixed_split(graph))
    times_us = [item.simulator(graph).run(table).makespan_us for item in (svm, finish)]
    assert times_us[1] > times_us[0] + 90.0


def test_predictions_say_how_sure_they_are() -> None:
    graph = chain(2)
    costs = profile_forecast(graph, profile(**{"svm-ahead": SyncCost(gpu_launch_us=3.0)})).costs
    cpu, gpu = costs.tasks[0].cpu_range, costs.tasks[0].gpu_range
    assert cpu is not None
    assert gpu is not None
    assert cpu.low_us < costs.tasks[0].cpu_us < cpu.high_us
    assert 3.0 < gpu.low_us < (costs.tasks[0].gpu_us or 0.0) < gpu.high_us
    assert ranges_of(graph, costs)["task0"]["gpu"] == (gpu.low_us, gpu.high_us)
    assert ranges_of(graph, Costs((TaskCost(1.0, 1.0),) * 2)) == {}


def test_a_decision_says_which_time_was_estimated() -> None:
    graph = chain(2)
    sure, unsure = Range(4.0, 6.0, estimated=False), Range(1.0, 20.0, estimated=True)
    costs = Costs((TaskCost(5.0, 5.0, sure, unsure), TaskCost(5.0, 5.0, sure, sure)))
    reasons = [decision.reason for decision in by_times(graph, costs, SyncCost()).decisions]
    assert "(estimated: gpu)" in reasons[0]
    assert "estimated" not in reasons[1]
