"""Plans that mix CPU, GPU and NPU, splits of every kind among them, compute the CPU's bits.

`make test-npu-plans` sets `HETCOMP_NPU_PLANS=500`, which draws so many in all, of more networks.
The NPU is the reference driver: its arithmetic is that of the CPU's kernels, rounding included, so
that nothing may differ.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import hetcomp
from hetcomp.bench import zoo
from hetcomp.errors import InputError
from hetcomp.options import CompileOptions
from hetcomp.plan.check import can_share_with_npu, grid_of
from hetcomp.plan.cuts import cut_at, last_cut
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan
from hetcomp.plan.steps import make_table
from hetcomp.plan.table import NpuStep
from hetcomp.runtime import Session

ASKED = int(os.environ.get("HETCOMP_NPU_PLANS", "0"))
FEW: dict[str, dict[str, Any]] = {
    "mobilenetv2": {"size": 32, "width": 0.25},
    "squeezenet": {"size": 48, "width": 0.25},
}
"""One chain with additions, and one of branches that write slices of a tensor."""
MORE: dict[str, dict[str, Any]] = {
    "resnet50": {"size": 32, "width": 0.25},
    "inception_v3": {"size": 80, "width": 0.125},
    "bert_tiny": {"size": 16},
}
SIZES = {**FEW, **MORE} if ASKED else FEW
PLANS = -(-ASKED // len(SIZES)) or 12
DYING = 40 if ASKED else 3
SEEDS = (21, 22)
LEAST_SHARED = {Axis.ROWS: 1 / 3, Axis.CHANNELS: 1 / 8}
"""Part of a network's tasks; channels only of products, where narrow ones have a single tile."""
SHARING = ("npu static", "gpu static", "gpu tickets")
PLACES = ("cpu", "gpu", "npu", "npu", "cpu+gpu", "cpu+npu", "cpu+npu", "tickets")


@dataclass(frozen=True)
class Subject:
    """A compiled network, inputs, and what its CPU plan makes of them."""

    path: Path
    feeds: list[dict[str, Any]]
    expected: list[dict[str, Any]]

    def check(self, session: Session, plan: Plan) -> None:
        """Two inferences on other inputs are right."""
        session.set_table(make_table(session.graph, plan))
        for feeds, expected in zip(self.feeds, self.expected, strict=True):
            got = session.run(feeds)
            wrong = [name for name, want in expected.items() if (got[name] != want).any()]
            assert not wrong, f"{wrong} of {self.path}: {json.dumps(plan.to_json())}"


@pytest.fixture(scope="module", params=SIZES)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    name = request.param
    path = tmp_path_factory.mktemp("plans") / f"{name}.so"
    model = zoo.build(name, qdq=True, **SIZES[name])
    hetcomp.compile(model, output=path, options=CompileOptions(plan="npu"))
    feeds = [zoo.random_inputs(model, seed) for seed in SEEDS]
    with hetcomp.load(path, plan="cpu", quiet=True) as session:
        return Subject(path, feeds, [session.run(one) for one in feeds])


def drawn_plan(graph: TaskGraph, rng: random.Random) -> Plan:
    """Each task on a processor that takes it or split, in runs of some length."""
    decisions, place = [], "cpu"
    for task in graph.tasks:
        if rng.random() < 0.5:
            place = rng.choice(PLACES)
        decisions.append(drawn(graph, task, place, rng))
    return Plan("drawn", tuple(decisions))


def plans_of_three(graph: TaskGraph, number: int) -> list[Plan]:
    """So many drawn plans that give every processor something to do."""
    drawn_plans = (drawn_plan(graph, random.Random(seed)) for seed in range(20 * number))
    of_three = (plan for plan in drawn_plans if has_three(graph, plan))
    plans = list(itertools.islice(of_three, number))
    assert len(plans) == number
    return plans


def has_three(graph: TaskGraph, plan: Plan) -> bool:
    table = make_table(graph, plan)
    return all((table.cpu, table.gpu, table.npu))


def drawn(graph: TaskGraph, task: Task, place: str, rng: random.Random) -> Decision:
    kernel = graph.kernels[task.kernel]
    cpu = Decision(task.name, Place.CPU)
    if place == "npu" and task.npu:
        return Decision(task.name, Place.NPU)
    if place == "cpu+npu" and (axes := shareable_axes(graph, task)):
        return shared_with_npu(task, rng.choice(axes), rng.random())
    if not kernel.opencl or place in ("cpu", "npu", "cpu+npu"):
        return cpu
    axis = rng.choice(list(Axis))
    grid = grid_of(task, axis)
    if place == "gpu" or not last_cut(grid):
        return Decision(task.name, Place.GPU)
    cut = cut_at(grid, rng.random())
    if place == "tickets" and kernel.items == (1, 1):
        least = 2 if grid.ragged else 1
        ticket = max(least, grid.extent // rng.choice([2, 5]))
        return Decision(task.name, Place.SPLIT, axis, cut, Mode.TICKETS, ticket)
    return Decision(task.name, Place.SPLIT, axis, cut)


def shareable_axes(graph: TaskGraph, task: Task) -> list[Axis]:
    """Along which CPU and NPU may share a task."""
    return [axis for axis in Axis if can_share_with_npu(graph, task, axis)]


def shared_with_npu(task: Task, axis: Axis, share: float) -> Decision:
    cut = cut_at(grid_of(task, axis), share)
    return Decision(task.name, Place.SPLIT, axis, cut, partner=Place.NPU)


def kinds_of(plans: Sequence[Plan]) -> set[str]:
    return {
        f"{decision.place.value} {decision.partner.value} {decision.mode.value} "
        f"{decision.axis.value}"
        for plan in plans
        for decision in plan.decisions
    }


@pytest.fixture
def session(subject: Subject) -> Iterator[Session]:
    with hetcomp.load(subject.path, plan="npu") as opened:
        yield opened


@pytest.mark.usefixtures("opencl")
def test_plans_of_three_processors(subject: Subject, session: Session) -> None:
    plans = plans_of_three(session.graph, PLANS)
    for plan in plans:
        subject.check(session, plan)
    status = session.status()
    assert (status.npu_fallbacks, status.fallbacks, status.why_no_npu) == (0, 0, "")
    splits = {f"split {how} {axis.value}" for how in SHARING for axis in Axis}
    assert {*splits, "npu gpu static rows"} <= kinds_of(plans)


@pytest.mark.parametrize("axis", Axis)
def test_parts_that_cannot_be_are_refused(axis: Axis, session: Session) -> None:
    """All of a task is no part of it, and what it has not is none either."""
    graph = session.graph
    task = next(task for task in graph.tasks if axis in shareable_axes(graph, task))
    decisions = (Decision(other.name, Place.CPU) for other in graph.tasks if other is not task)
    plan = Plan("part", (shared_with_npu(task, axis, 0.5), *decisions))
    table = make_table(graph, plan)
    (step,) = table.npu
    rows, channels = task.rows.extent, task.channels.extent
    for tiles in ((0, rows, 0, channels), (0, rows + 1, 1, 2), (0, rows, 1, channels + 1)):
        part = NpuStep(step.tasks, step.inputs, step.outputs, *tiles)
        with pytest.raises(InputError, match=r"channels .* cannot be on the NPU"):
            session.set_table(replace(table, npu=(part,)))


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize("fault", ["die", "fail", "refuse"])
def test_the_others_go_on_where_the_npu_dies(fault: str, subject: Subject) -> None:
    """`die` strikes in the second inference, with regions under way."""
    struck = 0
    for seed in range(DYING):
        with hetcomp.load(subject.path, plan="npu", npu_fault=fault, quiet=True) as session:
            plan = drawn_plan(session.graph, random.Random(1000 + seed))
            subject.check(session, plan)
            subject.check(session, plan)
            status = session.status()
        assert (status.npu_fallbacks > 0) == (status.npu_steps > 0)
        assert status.fallbacks == 0
        struck += status.npu_fallbacks > 0
    assert struck > DYING / 2


@pytest.mark.parametrize("axis", Axis)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_task_is_cut_between_cpu_and_npu(threads: int, axis: Axis, subject: Subject) -> None:
    """One share of all tasks that can be cut, from little to nearly all."""
    with hetcomp.load(subject.path, plan="npu", threads=threads) as session:
        graph = session.graph
        shared = [task for task in graph.tasks if axis in shareable_axes(graph, task)]
        assert len(shared) > len(graph.tasks) * LEAST_SHARED[axis]
        for share in (0.05, 0.3, 0.5, 0.8, 0.95):
            decisions = (
                shared_with_npu(task, axis, share)
                if task in shared
                else Decision(task.name, Place.CPU)
                for task in graph.tasks
            )
            subject.check(session, Plan("cut", tuple(decisions)))
        status = session.status()
    assert (status.npu_fallbacks, status.why_no_npu) == (0, "")
