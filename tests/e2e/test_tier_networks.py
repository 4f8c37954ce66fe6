"""Real networks under every way of waiting and kind of memory: what the CPU computes.

Slices of concatenations, halos, in-place tasks and re-used memory, under drawn plans: processors,
splits along both axes, tickets.
"""

from __future__ import annotations

import random

import pytest
from fresh_process import require_opencl
from networks import Networks, assert_close
from test_random_plans import TOLERANCE, Drawn

from hetcomp.plan.plan import Axis, Place, Plan
from hetcomp.plan.steps import make_table
from hetcomp.runtime import Session

WAYS = (
    {"tier": "svm"},
    {"tier": "event"},
    {"tier": "finish"},
    {"tier": "event", "memory": "coarse"},
    {"tier": "event", "memory": "buffer"},
    {"tier": "finish", "memory": "buffer"},
)
NAMES = ("squeezenet", "bert_tiny", "shufflenetv2")
PLANS = 4
TICKETS = 2
"""The plan in which both processors take tickets of every task that can be cut."""
LEAVES = ((0, 0), (0, 1), (1, 0))
SEED = 11


def drawn_plan(session: Session, seed: int) -> Plan:
    """The first two are splits of everything along one axis each, the third is tickets alone."""
    rng = random.Random(seed)

    def drawn() -> Drawn:
        if seed < len(Axis):
            return Drawn(Place.SPLIT, list(Axis)[seed], 0.5, 0, (0, 0))
        if seed == TICKETS:
            return Drawn(Place.SPLIT, rng.choice(list(Axis)), 0.5, 3, rng.choice(LEAVES))
        axis, share = rng.choice(list(Axis)), rng.randint(0, 16) / 16
        place = rng.choice((Place.CPU, Place.GPU, Place.SPLIT))
        return Drawn(place, axis, share, rng.choice((0, 0, 3)), rng.choice(LEAVES))

    graph = session.graph
    return Plan("drawn", tuple(drawn().decision(graph, task) for task in graph.tasks))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way.values()))
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_cpu_plan(networks: Networks, name: str, way: dict[str, str]) -> None:
    network = networks(name)
    with network.session("cpu") as session:
        expected = session.run(network.feeds(SEED))
    with network.session("gpu", **way) as session:
        require_opencl(session.status(), way["tier"])
        for seed in range(PLANS):
            table = make_table(session.graph, drawn_plan(session, seed))
            if seed == TICKETS:
                assert sum(step.ticket != 0 for step in table.cpu) > len(session.graph.tasks) // 2
            session.set_table(table)
            for _ in range(2):
                results = session.run(network.feeds(SEED))
                assert_close(results, expected, f"plan of seed {seed}", TOLERANCE)
        status = session.status()
    assert (status.tier, status.fallbacks, status.timeouts) == (way["tier"], 0, 0)
