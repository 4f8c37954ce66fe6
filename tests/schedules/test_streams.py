"""Tiles of any width whose lines are asked for early: also those narrower than a line."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hetcomp.codegen.lower import lower_tasks
from hetcomp.frontend import import_onnx
from hetcomp.pipeline import fusion_pipeline
from hetcomp.schedules.blocks.streams import is_streamed, lines_across, tile_line
from hetcomp.schedules.facts import CpuFacts

SIDE = 160


@pytest.mark.parametrize(("width", "lines"), [(4, 1), (8, 1), (16, 1), (24, 2), (32, 2), (48, 3)])
def test_lines(width: int, lines: int) -> None:
    assert lines_across(width) == lines
    offsets = [int(tile_line(line, width, 1000)) for line in range(2 * lines)]
    assert offsets == [1000 * row + 16 * line for row in range(2) for line in range(lines)]


@pytest.mark.parametrize("operator", ["Conv", "MatMul"])
def test_streamed_outputs_of_narrow_tiles(operator: str) -> None:
    """Tiles for NEON have 8 channels, half a line; their kernels ask for lines that exist."""
    lowered = lower_tasks(
        imported := import_onnx(_model(operator)),
        fusion_pipeline()(imported.mod),
        CpuFacts.NEON,
        gpu=False,
    )
    kernel = next(k for k in lowered.kernels if k.scheduled.kind in ("conv2d", "linear"))
    text = str(kernel.scheduled.emit("kernel", CpuFacts.NEON))
    assert "prefetch" in text


def _model(operator: str) -> onnx.ModelProto:
    """One operator whose output does not stay in the second-level cache."""
    conv = operator == "Conv"
    shapes = ([1, 3, 2 * SIDE, 2 * SIDE], [8, 3, 2, 2], [1, 8, SIDE, SIDE])
    if not conv:
        shapes = ([SIDE * SIDE, 16], [16, 16], [SIDE * SIDE, 16])
    x, w, y = shapes
    assert is_streamed(math.prod(y))
    weight = np.random.default_rng(3).standard_normal(w, dtype=np.float32)
    node = helper.make_node(operator, ["x", "w"], ["y"], **({"strides": [2, 2]} if conv else {}))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, x)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, y)
    weights = [numpy_helper.from_array(weight, "w")]
    return helper.make_model(helper.make_graph([node], "narrow", [given], [made], weights))
