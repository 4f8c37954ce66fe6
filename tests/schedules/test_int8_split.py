"""One integer operator cut between CPU and OpenCL: the same bits wherever the cut lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opencl_device import NEEDS_OPENCL
from quantized_families import QuantizedCase, case_of, case_of_product
from quantized_layers import product_of, random_bytes
from quantized_models import Grid, QuantizedLayer
from test_opencl_kernels import RANDOM_PLANS, random_plan

import hetcomp
from hetcomp.options import CompileOptions
from hetcomp.plan.steps import make_table

pytestmark = NEEDS_OPENCL

GRID = Grid(np.float32(0.02), np.asarray(7))
"""Of activations; a zero point that is not zero makes padding a number of its own."""


def layer(x: tuple[int, ...], w: tuple[int, ...], kind: str, **window: Any) -> QuantizedCase:
    y_grid = Grid(np.float32(0.02 * np.prod(w) ** 0.5), np.asarray(100))
    drawn = random_bytes("uint8", *x), random_bytes("int8", *w)
    return case_of(
        QuantizedLayer(*drawn, GRID, Grid(np.float32(0.01), None), y_grid, **window), kind
    )


CASES = {
    "linear": layer((33, 37), (37, 83), "linear"),
    "one row": layer((1, 300), (300, 83), "linear"),
    "convolution": layer((2, 17, 13, 35), (58, 17, 3, 3), "conv2d", pads=(1, 1, 1, 1)),
    "depthwise": layer(
        *((1, 58, 13, 13), (58, 1, 3, 3), "depthwise"), strides=(2, 2), pads=(1, 1, 1, 1), groups=58
    ),
    "product": case_of_product(
        product_of(
            *(random_bytes("uint8", 3, 37, 21), random_bytes("uint8", 3, 21, 29), (GRID, GRID)),
            transposed=True,
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("device_class", ["cpu-like", "gpu"])
@pytest.mark.parametrize("name", CASES)
def test_every_share(name: str, device_class: str, tmp_path: Path) -> None:
    case, path = CASES[name], tmp_path / "model.so"
    options = CompileOptions(plan="gpu", device_class=device_class)
    graph = hetcomp.compile(case.model, output=path, options=options).graph
    assert case.kinds & {task.kind for task in graph.tasks if graph.kernels[task.kernel].opencl}
    with hetcomp.load(path, quiet=True) as session:
        assert session.status().tier == "svm-ahead", session.status().why_no_gpu
        for seed in range(RANDOM_PLANS):
            got = session.run(case.feeds)["y"]
            np.testing.assert_array_equal(got, case.expected)
            session.set_table(make_table(session.graph, random_plan(session.graph, seed)))
        assert (session.status().fallbacks, session.status().timeouts) == (0, 0)
