"""All 27 zoo networks give ONNX Runtime's outputs, whoever computes what."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from networks import CompiledNetwork, Networks

from hetcomp.bench import zoo
from hetcomp.cost.costs import Costs, SyncCost, TaskCost
from hetcomp.plan.by_times import by_times
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.plan import Axis, Place, Plan
from hetcomp.plan.planners import fixed_split, single
from hetcomp.plan.steps import make_table
from hetcomp.runtime import SessionStatus

SEEDS = (1, 2, 3)
FREE = SyncCost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def by_made_up_times(graph: TaskGraph) -> Plan:
    """What `auto` plans where the GPU is as fast as the CPU, or faster, and sharing is free.

    The measured times of these small networks mostly lead to the CPU alone; these lead to a mix.
    """
    costs = []
    for index, task in enumerate(graph.tasks):
        cpu_us = 1.0 + task.flops / 1e4
        faster = (1.0, 3.0, 0.3)[index % 3]
        opencl = graph.kernels[task.kernel].opencl
        costs.append(TaskCost(cpu_us, cpu_us / faster if opencl else None))
    return by_times(graph, Costs(tuple(costs)), FREE, "mixed")


GPU_PLANS: dict[str, Callable[[TaskGraph], Plan]] = {
    "gpu": lambda graph: single(graph, Place.GPU),
    "rows": lambda graph: fixed_split(graph, 0.5, Axis.ROWS),
    "channels": lambda graph: fixed_split(graph, 0.5, Axis.CHANNELS),
    "mixed": by_made_up_times,
}


@pytest.fixture(scope="module", params=zoo.names())
def network(request: pytest.FixtureRequest, networks: Networks) -> CompiledNetwork:
    return networks(request.param)


def test_cpu(network: CompiledNetwork) -> None:
    with network.session("cpu") as session:
        for seed in SEEDS:
            network.assert_right(session, seed)
        status = session.status()
    assert (status.tier, status.cpu_steps, status.gpu_steps) == ("cpu", len(session.graph.tasks), 0)


def test_auto(network: CompiledNetwork) -> None:
    with network.session("auto") as session:
        for seed in SEEDS:
            network.assert_right(session, seed)
        status = session.status()
        assert session.plan is not None
    assert status.plan == "auto"
    shared = any(decision.place is not Place.CPU for decision in session.image.plans[0].decisions)
    assert status.tier == ("svm-ahead" if shared else "cpu"), status.why_no_gpu
    assert status.fallbacks == 0
    assert all(decision.reason for decision in session.image.plans[0].decisions)


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize("how", GPU_PLANS)
def test_opencl(network: CompiledNetwork, how: str) -> None:
    with network.session("gpu") as session:
        plan = GPU_PLANS[how](session.graph)
        session.set_table(make_table(session.graph, plan))
        for seed in SEEDS:
            network.assert_right(session, seed)
        assert_opencl_worked(session.status(), plan)


def assert_opencl_worked(status: SessionStatus, plan: Plan) -> None:
    """The device did every step that the plan gives it, and the CPU repeated nothing."""
    places = [decision.place for decision in plan.decisions]
    assert status.tier == "svm-ahead", status.why_no_gpu
    assert status.gpu_steps == len(places) - places.count(Place.CPU) > 0
    assert status.cpu_steps == len(places) - places.count(Place.GPU)
    assert (status.runs, status.fallbacks, status.timeouts) == (len(SEEDS), 0, 0)
