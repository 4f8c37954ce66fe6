"""Plan `auto` is measured in a process of its own: what it keeps, and what happens when it dies."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fresh_process import Script

import hetcomp
from hetcomp.bench import zoo
from hetcomp.errors import ArtifactError, DeviceError
from hetcomp.options import CompileOptions
from hetcomp.placement import choose_plan
from hetcomp.runtime.image import read_image
from hetcomp.trial_process import measured_apart

CRASH, HANG = "__builtin_trap();", "for (;;) sleep(1);"


def driver(folder: Path, does: str) -> str:
    """An OpenCL library that does something as soon as it is loaded."""
    source, library = folder / "driver.c", folder / "libdriver.so"
    source.write_text(
        f"#include <unistd.h>\n__attribute__((constructor)) static void loaded(void) {{ {does} }}\n"
    )
    subprocess.run(
        ["cc", "-shared", "-fPIC", str(source), "-o", str(library)], check=True, timeout=120.0
    )
    return str(library)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trial") / "trial.so"
    hetcomp.compile(zoo.build("deepfm"), output=path, options=CompileOptions(plan="cpu"))
    return path


def test_a_crashing_driver_costs_only_the_measurements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HETCOMP_OPENCL_LIBRARY", driver(tmp_path, CRASH))
    model = zoo.build("deepfm")
    artifact = hetcomp.compile(model, output=tmp_path / "m.so")
    assert "all on the CPU: the device failed while measuring" in artifact.why
    assert "was ended by SIG" in artifact.why
    assert {decision.place.value for decision in artifact.plan.decisions} == {"cpu"}
    with hetcomp.load(artifact.path) as session:
        assert session.run(zoo.random_inputs(model))
        assert session.image.build["auto"] == artifact.why


def test_a_hanging_driver_is_not_waited_for(
    trial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HETCOMP_OPENCL_LIBRARY", driver(tmp_path, HANG))
    graph = read_image(trial).graph
    with pytest.raises(DeviceError, match="the driver hangs: nothing came of it for 5 s"):
        measured_apart(graph, CompileOptions(), trial, lambda _text, _done: None, silence_s=5.0)


def test_strict_does_not_fall_back(
    trial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HETCOMP_OPENCL_LIBRARY", driver(tmp_path, CRASH))
    graph, options = read_image(trial).graph, CompileOptions(strict=True)
    with pytest.raises(DeviceError, match="was ended by SIG"):
        choose_plan(graph, options, trial, lambda _text, _done: None)


def test_errors_keep_their_kind(trial: Path, tmp_path: Path) -> None:
    graph = read_image(trial).graph
    with pytest.raises(ArtifactError, match=r"none\.so"):
        measured_apart(graph, CompileOptions(), tmp_path / "none.so", lambda _text, _done: None)


@pytest.mark.usefixtures("opencl")
def test_the_compiler_loads_no_driver_and_no_trees(script: Script, tmp_path: Path) -> None:
    body = f"""
        import sys
        import hetcomp
        from hetcomp.bench import zoo
        options = hetcomp.CompileOptions(measure_seconds=0.2)
        output = {str(tmp_path / "m.so")!r}
        artifact = hetcomp.compile(zoo.build("deepfm"), output=output, options=options)
        mapped = {{line.split()[-1] for line in open("/proc/self/maps")}}
        answer = {{
            "plan": artifact.plan.name,
            "candidates": len(hetcomp.runtime.image.read_image(output).build["candidates"]),
            "opencl": [name for name in mapped if "pocl" in name or "OpenCL" in name],
            "modules": [name for name in ("xgboost", "networkx") if name in sys.modules],
            "peaks": sorted(artifact.peak_bytes),
        }}
    """
    answer, _ = script(body)
    assert answer.pop("candidates") >= 3
    peaks = ["compiler", "trial"]
    assert answer == {"plan": "auto", "opencl": [], "modules": [], "peaks": peaks}
