"""The command line: exit status, one line for an error, JSON by the contract.

Compiler and runtime are replaced by doubles; the whole way is tested elsewhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from blank_status import BLANK_STATUS
from click.testing import CliRunner, Result

import hetcomp
import hetcomp.runtime
from hetcomp.cli import explain_sizes, main
from hetcomp.devices import DeviceInfo, Verdict
from hetcomp.errors import DeviceError, PlanError
from hetcomp.plan.cpu_version import CpuVersion
from hetcomp.plan.graph import Grid, Kernel, Space, Task, TaskGraph, Tensor
from hetcomp.plan.io import read_plan
from hetcomp.plan.plan import Decision, Place, Plan
from hetcomp.plan.planners import fixed_split
from hetcomp.plan.steps import make_table
from hetcomp.runtime import Image, SessionStatus, TensorInfo
from hetcomp.runtime.sizes import FileSizes

STATUS = replace(BLANK_STATUS, plan="cpu", tier="cpu", requested_plan="auto", threads=1, runs=1)
GRAPH = TaskGraph(
    "net",
    tuple(Tensor(name, (1, 4), "float32", 16, Space.ARENA) for name in ("x", "y")),
    (Kernel("k", 2, True, "", "key", variant="winograd 4x4"),),
    (Task("conv[0]", "conv2d", 0, (0,), (1,), Grid(8), Grid(1), "rows", "rows are tall"),),
    (0,),
    (1,),
    0,
)


def hetcomp_cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(result: Result, status: int, text: str) -> None:
    """One line on stderr, no traceback, the right status."""
    assert result.exit_code == status, result.output
    assert text in result.stderr
    assert "Traceback" not in result.output


class FakeSession:
    """Doubles its input."""

    inputs = (TensorInfo("x", (1, 4), np.dtype("float32")),)

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor
        self.feeds: dict[str, Any] = {}

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        self.feeds = feeds
        return {"y": feeds["x"] * np.float32(self.factor)}

    def status(self) -> SessionStatus:
        return replace(STATUS, why_no_gpu="no OpenCL loader")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    fake = FakeSession()
    monkeypatch.setitem(vars(hetcomp), "load", lambda *_, **__: fake)
    return fake


@pytest.fixture
def doubling_model(tmp_path: Path) -> Path:
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy"
    )
    node = onnx.helper.make_node("Add", ["x", "x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [x], [y])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for the compiler; collects what it was called with."""
    calls: list[dict[str, Any]] = []

    def fake(model: Path, *, output: Path, **rest: Any) -> Any:
        calls.append({"model": model, "output": output, **rest})
        output.write_bytes(b"so")
        rest["progress"]("half", 0.5)
        return SimpleNamespace(
            path=output,
            plan=fixed_split(GRAPH),
            graph=GRAPH,
            seconds={"build": 1.0},
            why="it was asked for",
            peak_bytes={"compiler": 1 << 20},
        )

    monkeypatch.setitem(vars(hetcomp), "compile", fake)
    return calls


@pytest.mark.parametrize(
    "command", [(), ("devices",), ("compile",), ("run",), ("explain",), ("bench", "models")]
)
def test_help(command: tuple[str, ...]) -> None:
    result = hetcomp_cli(*command, "--help")
    assert result.exit_code == 0
    assert not command or "--json" in result.output


def test_version_and_usage() -> None:
    assert hetcomp.__version__ in hetcomp_cli("--version").output
    assert hetcomp_cli("nonsense").exit_code == 2
    assert hetcomp_cli("compile", "m.onnx").exit_code == 2


def test_devices_json() -> None:
    data = json.loads(hetcomp_cli("devices", "--json").output)
    assert {"kind", "name", "verdict", "advice"} <= data["devices"][0].keys()
    assert hetcomp_cli("devices").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--plan", "npu", "--precision", "f16"), "the NPU takes integers"),
        (("--npu-driver", "tpu"), "'tpu' is not one of 'reference', 'amx', 'htp'"),
        (("--plan", "fast"), "'fast' is neither a plan"),
        (("--shape", "x"), "expected NAME=N,N"),
        (("--shape", "=1"), "expected NAME=N,N"),
        (("--shape", "x=1,0"), "not a positive whole number"),
        (("--shape", "x=1,-3"), "not a positive whole number"),
        (("--shape", "x="), "not a positive whole number"),
        (("--shape", f"x={'9' * 5000}"), "not a positive whole number"),
        (("--shape", "x=1", "--shape", "x=2"), "given before"),
    ],
)
def test_compile_refuses(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    refused(hetcomp_cli("compile", "m.onnx", "-o", tmp_path / "m.so", *arguments), 2, text)


def test_compile_output_place(tmp_path: Path) -> None:
    refused(hetcomp_cli("compile", "m.onnx", "-o", tmp_path), 2, "is a folder")
    nowhere = tmp_path / "none" / "m.so"
    refused(hetcomp_cli("compile", "m.onnx", "-o", nowhere), 2, "does not exist")


def test_compile_passes_everything_on(tmp_path: Path, compiled: list[dict[str, Any]]) -> None:
    arguments = ("--shape", "a=b=1,3", "--plan", "split", "--strict", "--target", "some-triple")
    result = hetcomp_cli("compile", "m.onnx", "-o", tmp_path / "m.so", *arguments, "--json")
    assert result.exit_code == 0
    (call,) = compiled
    assert call["shapes"] == {"a=b": (1, 3)}
    assert call["target"] == "some-triple"
    assert call["options"] == hetcomp.CompileOptions(plan="split", strict=True)
    data = json.loads(result.output)
    assert data["places"] == {"split": 1}
    assert data["size_bytes"] == 2


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("here", [True, False])
def test_compile_tells_that_the_npu_is_not_here(
    here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan("npu", (Decision(GRAPH.tasks[0].name, Place.NPU),))
    npu = DeviceInfo("npu", "amx", Verdict(here, "the CPU has no amx-tile"))
    monkeypatch.setattr(sys.modules[__name__], "fixed_split", lambda _graph: plan)
    monkeypatch.setattr("hetcomp.cli.compile.describe_npus", lambda: (npu,))
    output, driver = str(tmp_path / "m.so"), ("--plan", "npu", "--npu-driver", "amx")
    told = hetcomp_cli("compile", "m.onnx", "-o", output, *driver).stdout
    text = "here the CPU computes what is for the NPU: driver amx: the CPU has no amx-tile"
    assert (text in told) is not here
    data = json.loads(hetcomp_cli("compile", "m.onnx", "-o", output, *driver, "--json").stdout)
    assert (data["why_no_npu"] == "") is here


def test_compile_without_json_says_what_was_made(
    tmp_path: Path, compiled: list[dict[str, Any]]
) -> None:
    result = hetcomp_cli("compile", "m.onnx", "-o", tmp_path / "m.so")
    assert "plan split with 1 split; compiled in 1.0 s\n  split: it was asked for" in result.stdout
    assert compiled[0]["shapes"] is None


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (PlanError("two\nlines"), 2, "error: two lines\n"),
        (DeviceError("gone"), 1, "error: gone\n"),
        (ValueError("odd"), 1, "error: unexpected ValueError: odd (--debug shows where)\n"),
    ],
)
def test_errors_end_with_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, text: str
) -> None:
    monkeypatch.setitem(vars(hetcomp), "load", raising(error))
    result = hetcomp_cli("run", "m.so")
    refused(result, status, text)
    assert result.stderr == text
    assert result.stdout == ""
    assert hetcomp_cli("run", "m.so", "--debug").exception is error


def test_missing_and_foreign_so(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("hello")
    for command in ("run", "explain"):
        refused(hetcomp_cli(command, tmp_path / "none.so"), 2, "error: ")
        refused(hetcomp_cli(command, tmp_path / "text.so"), 2, "error: ")


def test_run_is_seeded(session: FakeSession) -> None:
    assert hetcomp_cli("run", "m.so", "--seed", "3").exit_code == 0
    first = session.feeds["x"]
    hetcomp_cli("run", "m.so", "--seed", "3")
    assert np.array_equal(first, session.feeds["x"])
    hetcomp_cli("run", "m.so", "--seed", "4")
    assert not np.array_equal(first, session.feeds["x"])


def test_run_files(session: FakeSession, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.ones((1, 4), np.float32))
    out = tmp_path / "out.npz"
    result = hetcomp_cli("run", "m.so", "--inputs", tmp_path / "in.npz", "--outputs", out)
    assert result.exit_code == 0
    assert np.load(out)["y"].tolist() == [[2.0] * 4]
    assert "no OpenCL loader" in result.stdout


@pytest.mark.usefixtures("session")
def test_run_refuses_bad_files(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones(3))
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    for name in ("none.npz", "one.npy", "objects.npz", "text.npz", "cut.npz"):
        refused(hetcomp_cli("run", "m.so", "--inputs", tmp_path / name), 2, "error: inputs '")


@pytest.mark.parametrize("option", ["--outputs", "--trace"])
def test_run_refuses_what_it_cannot_write_before_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str
) -> None:
    monkeypatch.setitem(vars(hetcomp), "load", raising(AssertionError("it was opened")))
    nowhere = tmp_path / "none" / "out"
    refused(hetcomp_cli("run", "m.so", option, nowhere), 2, f"{option[2:]} '{nowhere}' cannot be")


def test_run_says_what_it_could_not_write(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        type(session), "trace", raising(OSError(28, "No space left on device")), raising=False
    )
    result = hetcomp_cli("run", "m.so", "--trace", "t.json")
    refused(result, 2, "error: trace 't.json' cannot be written: No space left on device\n")


def test_run_validates(session: FakeSession, doubling_model: Path) -> None:
    result = hetcomp_cli("run", "m.so", "--validate", doubling_model, "--json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert data["validate"]["ok"] is True
    assert data["validate"]["outputs"][0]["max_relative_error"] <= 1e-6
    assert data["status"]["tier"] == "cpu"
    session.factor = 2.001
    wrong = hetcomp_cli("run", "m.so", "--validate", doubling_model)
    refused(wrong, 1, "error: output 'y' is 0.0005")
    assert "TOO FAR" in wrong.stdout


@pytest.mark.usefixtures("session")
def test_run_validate_without_a_model(tmp_path: Path) -> None:
    result = hetcomp_cli("run", "m.so", "--validate", tmp_path / "none.onnx")
    refused(result, 2, "ONNX Runtime cannot run it here")


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(fixed_split(GRAPH), predicted_us=1500.0, measured_us=1600.0)
    plans = (plan, replace(plan, name="cpu"))
    tables = tuple(make_table(GRAPH, each) for each in plans)
    versions = (CpuVersion("a510", ("asimddp", "i8mm")), CpuVersion("a76", ("asimddp",)))
    about = {"versions": versions, "cores": (4, 5)}
    made = Image("1.0", "rk3588", GRAPH, plans, tables, {"a": 1}, **about)
    monkeypatch.setattr(hetcomp.runtime, "read_image", lambda _: made)
    sizes = FileSizes(5_000_000, 80_000, 0, 9000, 900_000, 200_000, 6_189_000, ("libtvm_ffi.so",))
    monkeypatch.setattr(explain_sizes, "file_sizes", lambda _: sizes)


@pytest.mark.usefixtures("image")
def test_explain_tells_why_the_npu_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task = replace(GRAPH.tasks[0], why_no_npu="a sum of floats")
    graph = replace(GRAPH, tasks=(task, *GRAPH.tasks[1:]))
    plan = fixed_split(graph)
    made = Image("1.0", "host", graph, (plan,), (make_table(graph, plan),), {})
    monkeypatch.setattr(hetcomp.runtime, "read_image", lambda _: made)
    assert "a sum of floats" in hetcomp_cli("explain", "m.so").stdout


@pytest.mark.usefixtures("image")
def test_explain(tmp_path: Path) -> None:
    result = hetcomp_cli("explain", "m.so", "--plan-out", tmp_path / "p.json")
    assert result.exit_code == 0
    assert "conv[0]" in result.stdout
    assert "conv2d winograd 4x4" in result.stdout
    assert "split rows" in result.stdout
    assert "1 tasks: 1 split; predicted 1.50 ms; measured 1.60 ms" in result.stdout
    assert (
        "for rk3588; its CPU must have asimddp; kernels for a510, else a76; "
        "inferences on CPUs 4, 5\n"
    ) in result.stdout
    assert "6.2 MB: weights 5.0 MB, CPU kernels 80.0 kB, OpenCL source 0.0 kB" in result.stdout
    assert "to deploy: 6.0 MB without symbols, and libtvm_ffi.so; hetcomp deploy" in result.stdout
    assert read_plan(tmp_path / "p.json").decisions == fixed_split(GRAPH).decisions


@pytest.mark.usefixtures("image")
def test_explain_json(tmp_path: Path) -> None:
    data = json.loads(hetcomp_cli("explain", "m.so", "--json").output)
    assert data["plans"] == ["split", "cpu"]
    assert data["target"] == {
        "name": "rk3588",
        "needs": ["asimddp"],
        "cores": [4, 5],
        "versions": [
            {"name": "a510", "needs": ["asimddp", "i8mm"]},
            {"name": "a76", "needs": ["asimddp"]},
        ],
    }
    assert (data["sizes"]["stripped"], data["sizes"]["libtvm_ffi"]) == (5_989_000, None)
    (task,) = data["tasks"]
    assert (task["processor"], task["cpu_share"], task["cut"]) == ("split", 0.5, 4)
    assert (task["kind"], task["variant"]) == ("conv2d", "winograd 4x4")
    assert task["reason"].startswith("split 50% rows")
    nowhere = tmp_path / "none" / "p.json"
    refused(hetcomp_cli("explain", "m.so", "--plan-out", nowhere), 2, "cannot be written")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--models", "resnet0"), "no model 'resnet0'"),
        (("--models", "resnet18", "--against", "tflite"), "no peer 'tflite'"),
        (("--models", ","), "at least one model"),
        (("--models", "resnet18", "--plan", "none.json"), "none.json"),
        (("--sustained", "1", "--plan", "cpu"), "--plan: not with --sustained"),
        (
            ("--sustained", "1", "--quick", "--threads", "1", "--profile", "", "--against", ""),
            "--threads, --profile, --against, --quick: not with --sustained",
        ),
    ],
)
def test_bench_models_refuses(arguments: tuple[str, ...], text: str) -> None:
    refused(hetcomp_cli("bench", "models", *arguments), 2, text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--models", "resnet0"), "no model 'resnet0'"),
        (("--models", "resnet18", "--processor", "npu"), "no processor 'npu'"),
        (("--models", "resnet18", "--plot", "roof.txt"), "plot 'roof.txt'"),
    ],
)
def test_bench_layers_refuses(arguments: tuple[str, ...], text: str) -> None:
    refused(hetcomp_cli("bench", "layers", *arguments), 2, text)
