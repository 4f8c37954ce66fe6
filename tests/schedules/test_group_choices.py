"""Parameters of work-groups on OpenCL class `gpu`: each has an effect, and choices are right."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from kernel_harness import MATRIX, check, lower, make_model, normal
from test_choices import MODELS, model_of
from test_opencl_gpu_class import DEVICES, assert_fits, pytestmark

from hetcomp.codegen.kernel_table import Chosen
from hetcomp.schedules.choice import GROUP, Choice, Space, Value
from hetcomp.schedules.facts import GroupFacts
from hetcomp.schedules.scheduled import Scheduled
from hetcomp.tune.space import choice_of, draw

__all__ = ["pytestmark"]

DEEP = make_model(
    "g (float[1,512] x) => (float[1,64] y) { y = MatMul(x, w) }", {"w": normal(512, 64)}
)
ELSEWHERE = ("algorithm", "per_unit")
"""Direct on class `gpu`; and raised where tiles of several heads would overlap."""
ONE_UNIT = GroupFacts(compute_units=1)
"""So few that tiles are large where nothing is chosen."""


def space_of(model: Any) -> Space:
    """What the model's product offers on class `gpu`."""
    seen: list[Space] = []

    def note(func: Any, constants: frozenset[int], default: Scheduled) -> Chosen:
        seen.append(default.space)
        return Chosen(None, "")

    lower(model, choose=note, groups=ONE_UNIT)
    (space,) = (space for space in seen if space.knobs)
    return space


def code(model: Any, values: Mapping[str, Value]) -> str:
    """What tells the model's kernels apart from others, its product made with `values`."""

    def choose(func: Any, constants: frozenset[int], default: Scheduled) -> Chosen:
        return Chosen(Choice().with_values(values if default.space.knobs else {}), "")

    lowered = lower(model, choose=choose, groups=ONE_UNIT)
    return " ".join(
        f"{record.key.split('-')[-1]} {record.items} {record.tiles} {kernel.scheduled.rows_inner}"
        for record, kernel in zip(lowered.graph.kernels, lowered.kernels, strict=True)
    )


@pytest.mark.parametrize("name", MODELS)
def test_no_other_knob_changes_a_kernel(name: str) -> None:
    model = DEEP if name == "linear, one row" else model_of(name)
    space = space_of(model)
    assert any(knob.name.startswith(GROUP) for knob in space.knobs)
    names = {knob.name for knob in space.knobs}
    changing: set[str] = set()  # a small layer leaves some of them nothing to change
    for knob in space.knobs:
        narrow = {"vectors": 1} if knob.name == "group.columns" and "vectors" in names else {}
        points: list[dict[str, Value]] = [{knob.name: value, **narrow} for value in knob.values]
        legal = [point for point in points if not space.why_not(point)]
        if len(legal) > 1 and not knob.name.startswith("cpu.") and knob.name not in ELSEWHERE:
            kernels = {code(model, point) for point in legal}
            assert knob.of_groups or len(kernels) == 1, knob
            changing |= {knob.name} if len(kernels) > 1 else set()
    assert any(name.startswith(GROUP) for name in changing)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", MODELS)
def test_drawn_work_groups_are_right_and_fit(name: str, seed: int) -> None:
    rng = random.Random(f"{name} {seed}")
    device = rng.choice(list(DEVICES.values()))

    def choose(func: Any, constants: frozenset[int], default: Scheduled) -> Chosen:
        return Chosen(choice_of(default.space, draw(default.space, rng)), "drawn")

    assert_fits(check(model_of(name), MATRIX, choose=choose, groups=device), device)
