"""Driver `htp`: every layer within a quantum, on ONNX Runtime's CPU and, where it is installed, on
Qualcomm's emulator; and the CPU takes over, with the reason, from whatever is missing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from htp_taps import (
    htp_tasks,
    quantised_input,
    run_apart,
    tapped,
    tensors_of,
    worst_distances,
)

import hetcomp
from hetcomp.bench import zoo
from hetcomp.npu.htp import context
from hetcomp.npu.htp.context import Compiled
from hetcomp.options import CompileOptions

SIZES: dict[str, dict[str, Any]] = {
    "mobilenetv2": {"size": 32, "width": 0.25},
    "resnet50": {"size": 32, "width": 0.25},
}
LAYERS = {"mobilenetv2": 60, "resnet50": 65}
HTP = CompileOptions(plan="npu", gpu=False, npu_driver="htp")


def outputs_of(session: Any, feeds: Any) -> dict[str, Any]:
    return dict(session.run(feeds))


@pytest.mark.parametrize("name", SIZES)
def test_every_layer_as_the_reference_computes_it(name: str, tmp_path: Path) -> None:
    model = tapped(name, **SIZES[name])
    feeds, path = zoo.random_inputs(model), tmp_path / "model.so"
    hetcomp.compile(model, output=path, options=CompileOptions(plan="npu", gpu=False))
    with hetcomp.load(path) as session:
        made = outputs_of(session, feeds)
        assert session.status().npu == "reference"
    tasks = htp_tasks(model)
    distances = worst_distances(tasks, tensors_of(tasks, made, quantised_input(model, feeds)))
    assert len(distances) >= LAYERS[name]
    assert max(distances.values()) <= 1, distances


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that refuses every region."""

    def compile_none(models: Sequence[onnx.ModelProto], _soc: str) -> list[Compiled]:
        return [Compiled(b"", "Qualcomm's compiler refuses it: no reason") for _ in models]

    monkeypatch.setattr("hetcomp.npu.htp.program.compile_contexts", compile_none)
    monkeypatch.setattr("hetcomp.driver.check_installed", lambda: None)


def standin(folder: Path, sleep_s: int) -> Path:
    """A library that answers as ONNX Runtime would that has no table of the wanted version."""
    source, library = folder / f"standin{sleep_s}.c", folder / f"libstandin{sleep_s}.so"
    source.write_text(
        "#include <unistd.h>\nstatic const void *const *api(unsigned v) { (void)v; return 0; }\n"
        'static const char *version(void) { return "1.2.3"; }\n'
        "static const struct { const void *const *(*a)(unsigned); const char *(*v)(void); } base ="
        " {api, version};\n"
        f"const void *OrtGetApiBase(void) {{ sleep({sleep_s}); return &base; }}\n"
    )
    subprocess.run(
        ["cc", "-shared", "-fPIC", str(source), "-o", str(library)], check=True, timeout=60
    )
    return library


def onnxruntime_library(_folder: Path) -> Path:
    return next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"))


MISSING: dict[str, tuple[Callable[[Path], Path], str]] = {
    "library": (lambda folder: folder / "none.so", "no ONNX Runtime: "),
    "function": (lambda _folder: Path("libm.so.6"), "it has no OrtGetApiBase"),
    "version": (lambda folder: standin(folder, 0), "ONNX Runtime 1.2.3 is too old, at least 1.24"),
    "provider": (onnxruntime_library, "libonnxruntime_providers_qnn.so"),
    "answer": (lambda folder: standin(folder, 3), "ONNX Runtime did not answer within 1000 ms"),
}


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return zoo.build("mobilenetv2", qdq=True, **SIZES["mobilenetv2"])


@pytest.mark.usefixtures("refused")
def test_the_cpu_takes_over_from_what_is_missing(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, feeds = tmp_path / "model.so", zoo.random_inputs(model)
    hetcomp.compile(model, output=path, options=HTP)
    with hetcomp.load(path, plan="cpu") as session:
        expected = outputs_of(session, feeds)
    monkeypatch.setenv("HETCOMP_QNN", str(tmp_path))
    for find, reason in MISSING.values():
        monkeypatch.setenv("HETCOMP_ONNXRUNTIME", str(find(tmp_path)))
        with hetcomp.load(path, quiet=True, timeout_ms=50) as session:
            for name, array in outputs_of(session, feeds).items():
                np.testing.assert_array_equal(array, expected[name])
            status = session.status()
        assert reason in status.why_no_npu
        assert (status.plan, status.npu, status.npu_fallbacks) == ("npu", "", 1)


def test_without_the_package_compiling_says_what_to_install(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "find_spec", lambda _name: None)
    with pytest.raises(hetcomp.ToolchainError, match=r"hetcomp\[qnn\].*AI Stack License"):
        hetcomp.compile(model, output=tmp_path / "model.so", options=HTP)
    with pytest.raises(hetcomp.InputError, match="soc must be one of SM8350"):
        CompileOptions(soc="SM1")


@pytest.fixture
def emulator() -> None:
    pytest.importorskip(
        "onnxruntime_qnn", reason="hetcomp[qnn] is not installed: Qualcomm's AI Stack License"
    )


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("name", SIZES)
def test_every_layer_on_the_emulator(name: str, tmp_path: Path) -> None:
    model = tapped(name, **SIZES[name])
    feeds, path = zoo.random_inputs(model), tmp_path / "model.so"
    hetcomp.compile(model, output=path, options=HTP)
    found = run_apart(tmp_path, feeds)
    assert (found.driver, found.why_not, found.fallbacks) == ("htp", "", 0)
    assert not found.imported_onnxruntime
    tasks, first = htp_tasks(model), quantised_input(model, feeds)
    distances = worst_distances(tasks, tensors_of(tasks, found.outputs, first))
    assert len(distances) >= LAYERS[name]
    assert max(distances.values()) <= 1, distances


@pytest.mark.usefixtures("emulator")
def test_who_is_late_is_given_up(model: onnx.ModelProto, tmp_path: Path) -> None:
    path, feeds = tmp_path / "model.so", zoo.random_inputs(model)
    hetcomp.compile(model, output=path, options=HTP)
    with hetcomp.load(path, plan="cpu") as session:
        expected = outputs_of(session, feeds)
    with hetcomp.load(path, timeout_ms=1, quiet=True) as session:
        got = outputs_of(session, feeds)
        assert "no answer within 1 ms" in session.status().why_no_npu
    for output, array in got.items():
        np.testing.assert_array_equal(array, expected[output])


@pytest.mark.usefixtures("emulator")
def test_a_context_that_is_none_is_refused(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "hetcomp.npu.htp.program.compile_contexts",
        lambda models, _soc: [Compiled(b"no context", "") for _ in models],
    )
    path, feeds = tmp_path / "model.so", zoo.random_inputs(model)
    hetcomp.compile(model, output=path, options=HTP)
    with hetcomp.load(path, plan="cpu") as session:
        expected = outputs_of(session, feeds)
    with hetcomp.load(path, quiet=True) as session:
        got = outputs_of(session, feeds)
        assert "NPU driver htp refuses" in session.status().why_no_npu
        assert ": ONNX Runtime 1." in session.status().why_no_npu
    for output, array in got.items():
        np.testing.assert_array_equal(array, expected[output])
