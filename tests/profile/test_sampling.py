"""Drawing layers: in range, spread, repeatable, denser where errors are large."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hetcomp.cost.work import Part
from hetcomp.errors import InputError
from hetcomp.plan.graph import Grid, Task
from hetcomp.profile.draw import Choice, Size, cube
from hetcomp.profile.families import FAMILIES, Family, draw
from hetcomp.profile.layers import layer_from_json, layer_text, layer_to_json
from hetcomp.profile.ranges import parts_of
from hetcomp.profile.sampler import Miss, Sampler


def test_sizes_are_in_range_and_mostly_regular() -> None:
    axis = Size(16, 1024, 8, odd=0.1)
    sizes = [axis.at(u) for u in np.linspace(0.0, 0.999, 500)]
    assert min(sizes) >= 16
    assert max(sizes) <= 1024
    assert sum(size % 8 == 0 for size in sizes) >= 450
    assert any(size % 8 for size in sizes)


def test_every_choice_is_drawn() -> None:
    axis = Choice((1, 3, 5))
    assert {axis.at(u) for u in np.linspace(0.0, 0.999, 30)} == {1, 3, 5}


def test_a_cube_has_one_point_in_every_slice() -> None:
    points = cube(8, 3, np.random.default_rng(0))
    for column in points.T:
        assert sorted((column * 8).astype(int)) == list(range(8))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_draws_layers(family: Family) -> None:
    points = draw(family, 32, np.random.default_rng(3))
    assert len(points) == 32
    for point in points:
        again = layer_from_json(layer_to_json(point.layer))
        assert again == point.layer
        assert layer_text(again) == layer_text(point.layer)


def test_layers_of_unknown_kind_are_refused() -> None:
    with pytest.raises(InputError, match="no layer family 'x'"):
        layer_from_json({"family": "x"})
    with pytest.raises(InputError, match="linear"):
        layer_from_json({"family": "linear", "sides": 3})


def test_every_family_has_its_part_and_draws_repeat() -> None:
    points = Sampler(1).next(200)
    counts = Counter(point.family for point in points)
    assert set(counts) == {family.name for family in FAMILIES}
    assert counts["conv2d"] > 2 * counts["softmax"]
    assert Sampler(1).next(200) == points
    assert Sampler(2).next(200) != points


def test_a_sampler_goes_on_where_it_was() -> None:
    points = Sampler(1).next(60)
    assert Sampler(1, points[:40]).next(20) == points[40:]


def test_families_with_large_errors_are_drawn_more() -> None:
    points = Sampler(1).next(300)
    sampler = Sampler(1)
    sampler.learn([Miss(p, 0.4 if p.family == "softmax" else 0.05) for p in points])
    before = Counter(point.family for point in points)
    after = Counter(point.family for point in sampler.next(300))
    assert after["softmax"] > before["softmax"]


def test_parts_are_legal_and_on_the_side_of_their_processor() -> None:
    task = Task("t", "conv2d", 0, (0,), (1,), Grid(9, ragged=True), Grid(4), "rows", "")
    for processor in ("cpu", "gpu"):
        parts = parts_of(5, task, processor, 4, np.random.default_rng(0))
        whole = Part(5, processor, 0, 9, 0, 4)
        assert parts.count(whole) == 1
        assert len(parts) > 4
        for part in (part for part in parts if part != whole):
            assert part.task == 5
            whole_rows = part.row_end - part.row_begin == 9
            begin, end, extent = (
                (part.channel_begin, part.channel_end, 4)
                if whole_rows
                else (part.row_begin, part.row_end, 9)
            )
            assert 0 < end - begin < extent
            assert (begin == 0) if processor == "cpu" else (end == extent)
            assert 8 not in (part.row_begin, part.row_end)


def test_a_task_of_one_tile_is_timed_whole() -> None:
    task = Task("t", "rowwise", 0, (0,), (1,), Grid(1), Grid(1), "rows", "")
    assert len(parts_of(0, task, "cpu", 4, np.random.default_rng(0))) == 1
