"""Plan `auto` with OpenCL kernels of class `gpu` against the CPU alone with all of its kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import assert_close
from onnx import numpy_helper

import hetcomp
from hetcomp import Artifact, CompileOptions, cpu_alone
from hetcomp.bench.reference import reference_outputs
from hetcomp.goal import Goal
from hetcomp.plan.placement import Placement
from hetcomp.plan.plan import Plan
from hetcomp.runtime import read_image

GROUPS = CompileOptions(device_class="gpu", measure_seconds=0.3, use_cache=False)
NEVER_US = 1e9


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution that pays by Winograd's method."""
    made = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1,32,40,40] x) => (float[1,32,40,40] y) '
        "{ c = Conv<pads=[1,1,1,1]>(x, w) y = Relu(c) }"
    )
    weight = np.random.default_rng(0).standard_normal((32, 32, 3, 3)).astype(np.float32)
    made.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    path = tmp_path_factory.mktemp("alone") / "model.onnx"
    onnx.save(made, path)
    return path


def compiled(model: Path, output: Path, options: CompileOptions = GROUPS) -> Artifact:
    artifact = hetcomp.compile(model, output=output, options=options)
    feeds = {"x": np.random.default_rng(1).standard_normal((1, 32, 40, 40)).astype(np.float32)}
    with hetcomp.load(output, quiet=True) as session:
        assert_close(session.run(feeds), reference_outputs(model, feeds), artifact.plan.name)
    return artifact


def variants(artifact: Artifact) -> set[str]:
    return {kernel.variant for kernel in artifact.graph.kernels}


@pytest.mark.usefixtures("opencl")
def test_the_faster_one_ships(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.so"
    monkeypatch.setattr(cpu_alone, "_MOST_GAIN", 1e6)  # however busy the machine is
    monkeypatch.setattr(cpu_alone, "time_alone_us", lambda *_: 1.0)
    artifact = compiled(model, path)
    assert artifact.plan.measured_us == 1.0
    assert any("winograd" in variant for variant in variants(artifact))
    assert [plan.name for plan in read_image(path).plans] == ["auto", "cpu"]
    assert "the CPU alone, with Winograd's method" in read_image(path).build["auto"]

    monkeypatch.setattr(cpu_alone, "time_alone_us", lambda *_: NEVER_US)
    artifact = compiled(model, path)
    assert variants(artifact) == {"direct"}
    assert {"auto", "cpu", "gpu", "split"} <= {plan.name for plan in read_image(path).plans}
    assert "the CPU with all of its kernels 1000000.00 ms" in read_image(path).build["auto"]


@pytest.mark.usefixtures("opencl")
def test_the_cpu_alone_is_timed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    timed = cpu_alone.time_alone_us

    def keep(*given: object) -> float:
        seen.append(timed(*given))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(cpu_alone, "_MOST_GAIN", 1e6)
    monkeypatch.setattr(cpu_alone, "time_alone_us", keep)
    artifact = compiled(model, tmp_path / "model.so")
    (time_us,) = seen
    assert artifact.plan.measured_us is not None
    assert 10.0 < time_us < NEVER_US
    assert artifact.plan.measured_us <= time_us


def test_plan_cpu_has_all_kernels_of_the_cpu(model: Path, tmp_path: Path) -> None:
    artifact = compiled(model, tmp_path / "model.so", replace(GROUPS, plan="cpu"))
    assert any("winograd" in variant for variant in variants(artifact))


def measured(**times_us: float | None) -> Placement:
    plans = (Plan(name, (), measured_us=time_us) for name, time_us in times_us.items())
    return Placement(tuple(plans), {})


def test_what_cannot_win_is_not_tried() -> None:
    assert cpu_alone.may_win(measured(auto=1.0, cpu=3.9), GROUPS)
    assert not cpu_alone.may_win(measured(auto=1.0, cpu=4.1), GROUPS)
    assert not cpu_alone.may_win(measured(auto=None, cpu=None), GROUPS)
    energy = replace(GROUPS, goal=Goal(objective="energy"))
    assert not cpu_alone.may_win(measured(auto=1.0, cpu=1.0), energy)
