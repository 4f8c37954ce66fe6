"""Any legal plan computes what the CPU plan computes: random processor, axis, share and tickets.

Hypothesis draws the plans, shrinks a failing one, and prints it as JSON (`hetcomp compile --plan
FILE` takes it) with a `@reproduce_failure` line. Both processors do the same arithmetic in nearly
the same order, so the tolerance is tighter than against ONNX Runtime.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from networks import Arrays, CompiledNetwork, Networks, assert_close

from hetcomp.plan.check import grid_of
from hetcomp.plan.graph import Task, TaskGraph
from hetcomp.plan.plan import Axis, Decision, Mode, Place, Plan
from hetcomp.plan.steps import make_table
from hetcomp.runtime import Session

NAMES = ("mobilenetv2", "bert_tiny", "squeezenet", "shufflenetv2", "deepfm", "yolov8n")
EXAMPLES = 150  # each: 900 plans in all
SEEDS = (11, 12)
TOLERANCE = 1e-5
"""Of the largest value; float32 sums in another order, of up to about a thousand terms."""


@dataclass(frozen=True)
class Drawn:
    """What is drawn for one task; share, tickets and who leaves the last one for a split only."""

    place: Place
    axis: Axis
    share: float
    tickets: int
    leaves: tuple[int, int]

    def decision(self, graph: TaskGraph, task: Task) -> Decision:
        grid = grid_of(task, self.axis)
        kernel = graph.kernels[task.kernel]
        if not kernel.opencl:
            return Decision(task.name, Place.CPU, reason=kernel.why_no_opencl)
        if self.place is not Place.SPLIT or grid.extent < 2:
            alone = Place.GPU if self.place is Place.SPLIT else self.place
            return Decision(task.name, alone, reason="drawn")
        cut = grid.legal_cut(round(self.share * grid.extent))
        ticket = max(2 if grid.ragged else 1, grid.extent // max(1, self.tickets))
        mode = Mode.TICKETS if self.tickets and kernel.items == (1, 1) else Mode.STATIC
        last = min(1, grid.extent // ticket)  # one processor may leave the last one
        leaves = (last * side for side in self.leaves)
        return Decision(task.name, Place.SPLIT, self.axis, cut, mode, ticket, *leaves, "drawn")


DRAWN = st.builds(
    Drawn,
    st.sampled_from((Place.CPU, Place.GPU, Place.SPLIT)),
    st.sampled_from(Axis),
    st.integers(0, 16).map(lambda sixteenths: sixteenths / 16),
    st.sampled_from((0, 0, 1, 3, 12)),
    st.sampled_from(((0, 0), (1, 0), (0, 1))),
)


@dataclass(frozen=True)
class Subject:
    """A network, opened, and what its CPU plan computes."""

    network: CompiledNetwork
    session: Session
    by_cpu: dict[int, Arrays]


@pytest.fixture(scope="module", params=NAMES)
def subject(request: pytest.FixtureRequest, networks: Networks) -> Iterator[Subject]:
    network = networks(request.param)
    with network.session("cpu") as session:
        by_cpu = {seed: session.run(network.feeds(seed)) for seed in SEEDS}
    with network.session("gpu") as session:
        yield Subject(network, session, by_cpu)


@pytest.mark.usefixtures("opencl")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_random_plan_equals_cpu_plan(subject: Subject, data: st.DataObject) -> None:
    graph = subject.session.graph
    drawn = data.draw(st.lists(DRAWN, min_size=len(graph.tasks), max_size=len(graph.tasks)))
    decisions = (one.decision(graph, task) for one, task in zip(drawn, graph.tasks, strict=True))
    plan = Plan("random", tuple(decisions))
    note(f"network {subject.network.name}, small size; plan: {json.dumps(plan.to_json())}")
    subject.session.set_table(make_table(graph, plan))
    before = subject.session.status()
    for seed in SEEDS:
        results = subject.session.run(subject.network.feeds(seed))
        assert_close(results, subject.by_cpu[seed], f"inputs of seed {seed}", TOLERANCE)
    after = subject.session.status()
    assert (after.fallbacks, after.timeouts) == (before.fallbacks, before.timeouts) == (0, 0)
