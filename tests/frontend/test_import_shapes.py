"""Binding shapes: what is open, what does not fit, and the option that would fix it."""

from __future__ import annotations

from typing import Any

import pytest

from hetcomp.errors import ShapeError
from hetcomp.frontend import import_onnx

SMALL = "g (float[2,3] x) => (float[2,3] y) { y = Relu (x) }"
DYNAMIC = """g (float[batch,3,h] img, float[batch,2] aux) => (float[] y) {
  f = Flatten (img) y = Concat <axis: int = 1> (f, aux)
}"""


def test_open_dimension_gives_the_option(parse: Any, failure: Any) -> None:
    text = failure(ShapeError, parse(DYNAMIC))
    assert "'img' [batch, 3, h]" in text
    assert "--shape img=1,3,1 --shape aux=1,2" in text


def test_symbol_bound_once_holds_everywhere(parse: Any) -> None:
    imported = import_onnx(parse(DYNAMIC), shapes={"img": (4, 3, 5)})
    assert [spec.shape for spec in imported.inputs] == [(4, 3, 5), (4, 2)]
    assert imported.outputs[0].shape == (4, 17)


@pytest.mark.parametrize(
    ("shapes", "part"),
    [
        ({"image": (1, 3, 5)}, "no such input; its inputs are 'img' [batch, 3, h]"),
        ({"img": (1, 3)}, "has 2 dimensions; expected 3"),
        ({"img": (0, 3, 5)}, "extent 0 is not a positive integer"),
        ({"img": (1, -3, 5)}, "extent -3 is not a positive integer"),
        ({"img": (1, 3, 2.5)}, "extent 2.5 is not a positive integer"),
        ({"img": (1, 4, 5)}, "dimension 1 is fixed at 3 in the model, got 4"),
        ({"img": (1, 3, 5), "aux": (2, 2)}, "'batch' is 1 in input 'img' but 2 in input 'aux'"),
    ],
)
def test_shapes_that_do_not_fit(
    shapes: dict[str, Any], part: str, parse: Any, failure: Any
) -> None:
    assert part in failure(ShapeError, parse(DYNAMIC), **shapes)


def test_input_of_unknown_rank(parse: Any, failure: Any) -> None:
    model = parse(SMALL)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert "'x' of unknown rank" in failure(ShapeError, model)
    assert import_onnx(model, shapes={"x": (5,)}).outputs[0].shape == (5,)


def test_data_dependent_output_is_marked(parse: Any) -> None:
    imported = import_onnx(parse("g (float[3,4] x) => (int64[2,n] y) { y = NonZero (x) }"))
    assert imported.outputs[0].shape == (2, -1)
