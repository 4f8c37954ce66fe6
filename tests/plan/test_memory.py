"""Lifetimes and the arena."""

from __future__ import annotations

import dataclasses
import math

import pytest
from plan_graphs import GraphBuilder, chain

from hetcomp.plan.graph import Space, TaskGraph, Tensor
from hetcomp.plan.memory import ROOM, Lifetime, _best_gap, in_place, lifetimes, owners, plan_memory
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
    apart = plan_memory(graph, keys, room=math.inf)
    for one in range(7):
        for two in range(7):
            if keys.get(one, "cpu") != keys.get(two, "cpu"):
                assert apart.offsets[one] != apart.offsets[two]
    together = plan_memory(graph, keys, room=1.0)
    assert together.arena_bytes == 2 * 4096 < apart.arena_bytes


@pytest.mark.parametrize("place", [Place.CPU, Place.GPU])
def test_whole_tasks_have_one_owner(place: Place) -> None:
    graph = chain(3)
    assert set(owners(graph, single(graph, place)).values()) == {place.value}


def chain_in_place(length: int) -> TaskGraph:
    """A chain of element-wise tasks that may write where they read."""
    graph = chain(length)
    tasks = tuple(dataclasses.replace(task, in_place=(0,)) for task in graph.tasks)
    return dataclasses.replace(graph, tasks=tasks)


def test_outputs_take_over_inputs_that_die() -> None:
    graph = chain_in_place(4)
    assert len(in_place(graph)) == 3  # the input of the graph keeps its memory
    memory = plan_memory(graph)
    assert memory.arena_bytes == 2 * 4096
    outputs = [task.outputs[0] for task in graph.tasks]
    assert len({memory.offsets[tensor] for tensor in outputs}) == 1


def test_a_tensor_read_later_keeps_its_memory() -> None:
    builder = GraphBuilder()
    x, a, b, c = (builder.tensor() for _ in range(4))
    builder.task([x], [a])
    builder.task([a], [b])
    builder.task([a, b], [c])
    graph = builder.graph([x], [c])
    tasks = [dataclasses.replace(task, in_place=(0,)) for task in graph.tasks]
    graph = dataclasses.replace(graph, tasks=tuple(tasks))
    assert in_place(graph) == {c: a}


def test_a_tensor_read_elsewhere_too_keeps_its_memory() -> None:
    builder = GraphBuilder()
    x, a, b = (builder.tensor() for _ in range(3))
    builder.task([x], [a])
    builder.task([a, a], [b])
    graph = builder.graph([x], [b])
    tasks = [dataclasses.replace(task, in_place=(0,)) for task in graph.tasks]
    assert in_place(dataclasses.replace(graph, tasks=tuple(tasks))) == {}


def test_sizes_and_slices_must_agree() -> None:
    builder = GraphBuilder()
    x, a, b = builder.tensor(), builder.tensor(), builder.tensor(2 * 4096)
    part = builder.tensor(4096, alias_of=b)
    builder.task([x], [a])
    builder.task([a], [part])
    graph = builder.graph([x], [b])
    tasks = [dataclasses.replace(task, in_place=(0,)) for task in graph.tasks]
    assert in_place(dataclasses.replace(graph, tasks=tuple(tasks))) == {}


def test_a_tensor_lives_as_long_as_its_parts_are_read() -> None:
    builder = GraphBuilder()
    x, a, b, c, d = (builder.tensor() for _ in range(5))
    half = Tensor("half", (512,), "float32", 2048, Space.ARENA, a, 2048, 2048)
    builder.tensors.append(half)
    builder.task([x], [a])
    builder.task([a], [b])
    builder.task([b], [c])
    builder.task([len(builder.tensors) - 1, c], [d])
    graph = builder.graph([x], [d])
    tasks = [dataclasses.replace(task, in_place=(0,)) for task in graph.tasks]
    graph = dataclasses.replace(graph, tasks=tuple(tasks))
    assert lifetimes(graph)[a] == Lifetime(0, 3)
    assert in_place(graph) == {c: b}


def test_keeping_owners_apart_has_a_price_limit() -> None:
    graph = chain(9)
    cpu, gpu = single(graph, Place.CPU), single(graph, Place.GPU)
    pairs = zip(cpu.decisions, gpu.decisions, fixed_split(graph).decisions, strict=True)
    decisions = tuple(three[number % 3] for number, three in enumerate(pairs))
    keys = owners(graph, dataclasses.replace(cpu, name="mixed", decisions=decisions))
    together = plan_memory(graph).arena_bytes
    assert plan_memory(graph, keys).arena_bytes <= ROOM * together
    assert plan_memory(graph, keys, room=math.inf).arena_bytes > ROOM * together
