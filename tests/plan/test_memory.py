"""Lifetimes and the arena."""

from __future__ import annotations

import pytest
from plan_graphs import GraphBuilder, chain

from hetcomp.plan.graph import Space
from hetcomp.plan.memory import Lifetime, _best_gap, lifetimes, owners, plan_memory
from hetcomp.plan.plan import Place
from hetcomp.plan.planners import fixed_split, single


def test_inputs_live_from_the_start_and_outputs_to_the_end() -> None:
    graph = chain(3)
    assert lifetimes(graph) == {
        0: Lifetime(-1, 0),
        1: Lifetime(0, 1),
        2: Lifetime(1, 2),
        3: Lifetime(2, 3),
    }


def test_alias_extends_the_life_of_its_root() -> None:
    builder = GraphBuilder()
    x, y, out = builder.tensor(), builder.tensor(), builder.tensor()
    view = builder.tensor(alias_of=y)
    view_of_view = builder.tensor(alias_of=view)
    builder.task([x], [y])
    builder.task([x], [out])
    builder.task([view_of_view], [builder.tensor()])
    graph = builder.graph([x], [out])
    assert lifetimes(graph)[y] == Lifetime(0, 2)
    memory = plan_memory(graph)
    assert memory.offsets[y] == memory.offsets[view] == memory.offsets[view_of_view]


def test_constants_keep_their_offset_and_take_no_arena() -> None:
    builder = GraphBuilder()
    x, out = builder.tensor(100), builder.tensor(100)
    weight = builder.tensor(1 << 20, Space.CONSTANT, offset_bytes=640)
    view = builder.tensor(1 << 20, Space.CONSTANT, alias_of=weight)
    builder.task([x, weight, view], [out])
    memory = plan_memory(builder.graph([x], [out]))
    assert memory.offsets[weight] == memory.offsets[view] == 640
    assert memory.arena_bytes == 256


def test_a_chain_needs_two_buffers_and_aligned_offsets() -> None:
    memory = plan_memory(chain(6, size_bytes=1000))
    assert memory.arena_bytes == 2 * 1024
    assert set(memory.offsets) == {0, 1024}


@pytest.mark.parametrize(
    ("taken", "size", "start"),
    [
        ([], 128, 0),
        ([(128, 256)], 128, 0),
        ([(128, 256)], 256, 256),
        ([(1024, 1152), (1408, 1536)], 256, 1152),
        ([(0, 1024), (128, 256), (1280, 1408)], 256, 1024),
    ],
)
def test_smallest_gap_that_fits_is_taken(
    taken: list[tuple[int, int]], size: int, start: int
) -> None:
    assert _best_gap(taken, size) == start


def test_split_halves_with_other_owners_do_not_share_unless_memory_is_short() -> None:
    graph = chain(6)
    plan = fixed_split(graph)
    cpu_names = {"task1", "task3"}
    mixed = type(plan)(
        "mixed",
        tuple(
            one if one.task in cpu_names else two
            for one, two in zip(single(graph, Place.CPU).decisions, plan.decisions, strict=True)
        ),
    )
    keys = owners(graph, mixed)
    assert keys[1] == keys[3] != keys[2] == "cpu"
    apart = plan_memory(graph, keys)
    for one in range(7):
        for two in range(7):
            if keys.get(one, "cpu") != keys.get(two, "cpu"):
                assert apart.offsets[one] != apart.offsets[two]
    together = plan_memory(graph, keys, limit_bytes=2 * 4096)
    assert together.arena_bytes == 2 * 4096 < apart.arena_bytes


@pytest.mark.parametrize("place", [Place.CPU, Place.GPU])
def test_whole_tasks_have_one_owner(place: Place) -> None:
    graph = chain(3)
    assert set(owners(graph, single(graph, place)).values()) == {place.value}
