"""Whole networks with kernels of OpenCL class `gpu`: ONNX Runtime's outputs, and all of them."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from networks import assert_close

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import reference_outputs
from hetcomp.plan.plan import Axis, Place
from hetcomp.plan.planners import fixed_split, single
from hetcomp.plan.steps import make_table

NAMES = ("bert_tiny", "mobilenetv2", "deepfm", "squeezenet")
SEEDS = (1, 2)


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize("name", NAMES)
def test_gpu_class(name: str, tmp_path: Path) -> None:
    model = zoo.build(name, **zoo.small_size(name))
    file, so = tmp_path / "model.onnx", tmp_path / "model.so"
    onnx.save(model, file)
    options = hetcomp.CompileOptions(plan="gpu", device_class="gpu")
    graph = hetcomp.compile(file, output=so, options=options).graph
    assert all(kernel.items != (1, 1) for kernel in graph.kernels if kernel.opencl)
    plans = (
        *(single(graph, Place.GPU), fixed_split(graph, 0.5, Axis.ROWS)),
        fixed_split(graph, 0.4, Axis.CHANNELS),
    )
    with hetcomp.load(so, quiet=True) as session:
        for plan in plans:
            session.set_table(make_table(graph, plan))
            for seed in SEEDS:
                feeds = zoo.random_inputs(model, seed)
                expected = reference_outputs(file, feeds)
                assert_close(session.run(feeds), expected, f"plan {plan.name}, seed {seed}")
        status = session.status()
    assert (status.tier, status.fallbacks, status.timeouts) == ("svm-ahead", 0, 0)
