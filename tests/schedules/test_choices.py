"""Whatever a space offers is right: kernels under drawn choices give ONNX Runtime's numbers."""

from __future__ import annotations

import random
from typing import Any

import pytest
from kernel_harness import MATRIX, check, lower, make_model, normal

from hetcomp.codegen.kernel_table import Chosen
from hetcomp.schedules.choice import Bound, Choice, DeviceChoice, IllegalChoice, Knob, Space
from hetcomp.schedules.scheduled import Scheduled
from hetcomp.tune.space import choice_of, draw, mutate

DRAWS = 3

MODELS: dict[str, Any] = {
    "linear": ("float[57,37] x", "float[57,83] y", "y = MatMul(x, w)", (37, 83)),
    "linear, one row": ("float[1,37] x", "float[1,257] y", "y = MatMul(x, w)", (37, 257)),
    "convolution": (
        *("float[1,17,13,35] x", "float[1,58,13,35] y"),
        "c = Conv<pads=[1,1,1,1]>(x, w) y = Relu(c)",
        (58, 17, 3, 3),
    ),
    "convolution, nchw, 7x7": (
        *("float[1,3,35,35] x", "float[1,32,18,18] y"),
        "y = Conv<pads=[3,3,3,3], strides=[2,2]>(x, w)",
        (32, 3, 7, 7),
    ),
    "convolution, groups": (
        *("float[1,36,9,11] x", "float[1,40,9,11] y"),
        "y = Conv<pads=[1,1,1,1], group=2>(x, w)",
        (40, 18, 3, 3),
    ),
    "depthwise": (
        *("float[1,40,13,19] x", "float[1,40,13,19] y"),
        "y = Conv<pads=[1,1,1,1], group=40>(x, w)",
        (40, 1, 3, 3),
    ),
    "attention": (
        *("float[3,27,18] x, float[3,18,35] z", "float[3,27,35] y"),
        "y = MatMul(x, z)",
        (),
    ),
}


def model_of(name: str) -> Any:
    inputs, outputs, nodes, weight = MODELS[name]
    weights = {"w": normal(*weight)} if weight else {}
    return make_model(f"g ({inputs}) => ({outputs}) {{ {nodes} }}", weights)


@pytest.mark.parametrize("seed", range(DRAWS))
@pytest.mark.parametrize("name", MODELS)
def test_drawn_choice_is_right(name: str, seed: int) -> None:
    rng = random.Random(seed)
    drawn: list[Choice] = []

    def choose(func: Any, constants: frozenset[int], default: Scheduled) -> Chosen:
        if not default.space.knobs:
            return Chosen(None, "")
        drawn.append(choice_of(default.space, draw(default.space, rng)))
        return Chosen(drawn[-1], "drawn")

    check(model_of(name), MATRIX, choose=choose)
    assert drawn


def test_choice_changes_the_kernel_and_the_default_does_not() -> None:
    model = model_of("linear")
    key = lower(model).graph.kernels[0].key
    for values, same in (({}, True), ({"height": 5}, False), ({"cpu.unroll": 4}, False)):
        choice = Choice().with_values(values)
        graph = lower(model, choose=lambda *_, choice=choice: Chosen(choice, "set")).graph
        assert (graph.kernels[0].key == key) == same
        assert graph.kernels[0].tuned == "set"


def test_defaults_of_a_space_are_what_the_template_takes() -> None:
    for name in MODELS:

        def choose(func: Any, constants: frozenset[int], default: Scheduled) -> Chosen:
            return Chosen(Choice().with_values(default.space.defaults()), "defaults")

        model = model_of(name)
        keys = [kernel.key for kernel in lower(model).graph.kernels]
        assert [kernel.key for kernel in lower(model, choose=choose).graph.kernels] == keys


@pytest.mark.parametrize("values", [{"height": 999}, {"algorithm": "magic"}, {"opencl.unroll": 7}])
def test_choice_outside_the_space_is_refused(values: dict[str, Any]) -> None:
    choice = Choice().with_values(values)
    with pytest.raises(IllegalChoice, match=next(iter(values))):
        lower(model_of("linear"), choose=lambda *_: Chosen(choice, ""))


def test_values_round_trip() -> None:
    choice = Choice(height=7, cpu=DeviceChoice(unroll=2), opencl=DeviceChoice(rows_inner=False))
    values = choice.values()
    assert values == {"height": 7, "cpu.unroll": 2, "opencl.rows_inner": False}
    assert Choice().with_values(values) == choice
    for unknown in ("nothing", "cpu.nothing", "gpu.unroll"):
        with pytest.raises(IllegalChoice, match=unknown):
            Choice().with_values({unknown: 1})


def test_points_keep_within_bounds() -> None:
    knobs = (Knob("height", tuple(range(1, 15)), 7), Knob("vectors", (1, 2, 4), 2))
    space = Space(knobs, (Bound(("height", "vectors"), 14),))
    rng = random.Random(0)
    values = draw(space, rng)
    for _ in range(200):
        other = mutate(space, values, rng)
        assert not space.why_not(other)
        assert other != values
        values = other
    assert choice_of(space, space.defaults()) == Choice()
    assert "exceeds" in space.why_not({"height": 14})
