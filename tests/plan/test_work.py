"""What a part of a task has to do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plan_graphs import GraphBuilder

from hetcomp.cost.kernel_facts import KernelFacts
from hetcomp.cost.launches import FACT_NAMES
from hetcomp.cost.work import Part
from hetcomp.plan.graph import Grid, Space, TaskGraph
from hetcomp.plan.work import whole_part, work_of


@pytest.fixture
def graph() -> TaskGraph:
    builder = GraphBuilder()
    source = builder.tensor(1024)
    weights = builder.tensor(512, Space.CONSTANT)
    target = builder.tensor(2048)
    builder.task([source, weights], [target], rows=Grid(8), channels=Grid(4))
    built = builder.graph([source], [target])
    facts = KernelFacts(pixels=64, columns=32, depth=16, taps=9)
    kernel = replace(built.kernels[0], facts=facts, items=(8, 4), tiles=(2, 1))
    return replace(built, kernels=(kernel,))


def test_a_part_keeps_its_own_tiles_and_the_facts_of_the_whole(graph: TaskGraph) -> None:
    work = work_of(graph, Part(0, "gpu", 2, 5, 1, 4))
    assert (work.family, work.processor, work.variant) == ("conv2d", "gpu", "direct")
    assert (work.rows, work.channels, work.all_rows, work.all_channels) == (3, 3, 8, 4)
    assert work.facts["depth"] == 16
    assert work.facts["input_bytes"] == 1024
    assert work.facts["output_bytes"] == 2048
    assert (work.facts["items"], work.facts["group_rows"]) == (32, 2)


def test_the_whole_part_has_all_tiles(graph: TaskGraph) -> None:
    work = work_of(graph, whole_part(graph, 0, "cpu"))
    assert (work.rows, work.channels) == (work.all_rows, work.all_channels)


def test_facts_survive_the_image(graph: TaskGraph) -> None:
    assert TaskGraph.from_json(graph.to_json()).kernels == graph.kernels


def test_the_models_know_every_fact(graph: TaskGraph) -> None:
    assert set(work_of(graph, whole_part(graph, 0, "cpu")).facts) == set(FACT_NAMES)
