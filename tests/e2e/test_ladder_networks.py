"""Every plan that a session may change over to gives ONNX Runtime's outputs."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import compare, reference_outputs
from hetcomp.options import CompileOptions

_CALM, _SLOW = 1.0, 3.0


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize("network", ["squeezenet", "mobilenetv1"])
def test_every_rung_is_right(network: str, tmp_path: Path) -> None:
    model = zoo.build(network, size=160)
    onnx.save(model, tmp_path / "m.onnx")
    feeds = zoo.random_inputs(model)
    expected = reference_outputs(tmp_path / "m.onnx", feeds)
    options = CompileOptions(measure_seconds=2.0, pin="on")
    hetcomp.compile(model, output=tmp_path / "m.so", options=options)
    with hetcomp.load(tmp_path / "m.so", pin="on") as session:
        plans = [plan.name for plan in session.image.plans]
        for plan in plans:
            session.use_plan(plan)
            results = session.run(feeds)
            assert session.status().plan == plan
            assert all(error.ok for error in compare(results, expected)), plan
    assert any(plan.startswith("auto-") for plan in plans)


@pytest.mark.usefixtures("opencl")
def test_answers_stay_right_while_plans_change(tmp_path: Path) -> None:
    model = zoo.build("squeezenet", size=160)
    onnx.save(model, tmp_path / "m.onnx")
    feeds = zoo.random_inputs(model)
    expected = reference_outputs(tmp_path / "m.onnx", feeds)
    options = CompileOptions(measure_seconds=2.0, pin="on")
    hetcomp.compile(model, output=tmp_path / "m.so", options=options)
    loads = [(0, _CALM, _CALM), (40, _SLOW, _CALM), (160, _CALM, _SLOW), (280, _CALM, _CALM)]
    with hetcomp.load(
        tmp_path / "m.so", plan="split", pin="on", adapt="on", pretended_load=loads
    ) as session:
        used = set()
        for _ in range(400):
            assert all(error.ok for error in compare(session.run(feeds), expected))
            used.add(session.status().plan)
        status, stats = session.status(), session.stats()
    assert len(used) > 2
    assert stats.adaptation.active
    assert status.fallbacks == 0
