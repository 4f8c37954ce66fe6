"""Rows of `bench models`, with ONNX Runtime and doubles for compiler and runtime."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

import hetcomp
from hetcomp.bench import models
from hetcomp.bench.bars import plot_ratios
from hetcomp.bench.models import BenchOptions, bench_models
from hetcomp.bench.peers import onnxruntime_run
from hetcomp.bench.summary import summarize_models
from hetcomp.bench.timing import TimingOptions
from hetcomp.runtime import SessionStatus

KINDS: dict[str, Any] = {"str": "", "bool": False, "int": 0, "float": 0.0}
STATUS = SessionStatus(**{item.name: KINDS[str(item.type)] for item in fields(SessionStatus)})
SHORT = TimingOptions(rounds=2, reps=1, settle_seconds=0.0)


class FakeSession:
    """Runs the ONNX file that lies beside the compiled one."""

    def __init__(self, path: Path, plan: str | None, threads: int) -> None:
        self.path, self.plan, self.threads = path, plan or path.read_text(), threads

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def close(self) -> None:
        return None

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        (model,) = self.path.parent.glob("*.onnx")
        return onnxruntime_run(model, feeds, 1)()

    def status(self) -> SessionStatus:
        steps = 0 if self.plan == "cpu" else 3
        return replace(STATUS, plan=self.plan, threads=self.threads, gpu_steps=steps)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the plans that were compiled; a file made for `auto` has the plan `cpu` too."""
    calls: list[str] = []

    def fake_compile(model: Path, *, output: Path, options: Any, **_: Any) -> None:
        assert onnx.load(model).graph.node
        calls.append(options.plan)
        output.write_text(options.plan)

    def fake_load(path: Path, *, plan: str | None, threads: int = 1, **_: Any) -> FakeSession:
        return FakeSession(path, plan, threads)

    def fake_image(path: Path) -> Any:
        names = {"auto": ("auto", "cpu")}.get(path.read_text(), (path.read_text(),))
        return SimpleNamespace(plans=[SimpleNamespace(name=name) for name in names])

    monkeypatch.setitem(vars(hetcomp), "compile", fake_compile)
    monkeypatch.setitem(vars(hetcomp), "load", fake_load)
    monkeypatch.setattr(models, "read_image", fake_image)
    return calls


def test_rows(compiled: list[str]) -> None:
    seen: list[str] = []
    options = BenchOptions(
        ("squeezenet",), ("cpu", "split", "auto"), threads=2, size=32, timing=SHORT
    )
    rows = bench_models(options, lambda text, _: seen.append(text)).rows
    assert compiled == ["auto", "split"]
    names = [(row.plan, row.ran_plan, row.cpu_threads) for row in rows]
    assert names == [
        ("cpu", "cpu", 1),
        ("cpu", "cpu", 2),
        ("split", "split", 1),
        ("auto", "auto", 1),
        ("onnxruntime", "onnxruntime", 1),
        ("onnxruntime", "onnxruntime", 2),
    ]
    assert all(row.n == 2 and row.threads == 2 and row.size == 32 for row in rows)
    assert all(row.max_relative_error == 0.0 for row in rows[:4])
    assert rows[5].ratio_to_onnxruntime == 1.0
    assert rows[4].ratio_to_onnxruntime_1_thread == 1.0
    assert seen[0] == "squeezenet (1 of 1): building"


@pytest.mark.usefixtures("compiled")
def test_without_a_peer_there_are_no_ratios() -> None:
    options = BenchOptions(("squeezenet",), ("cpu",), against=(), size=32, timing=SHORT)
    (row,) = bench_models(options).rows
    assert summarize_models([row]) == ()
    assert row.ratio_to_onnxruntime is None
    assert {"model", "plan", "threads", "median_ms", "p10_ms", "p99_ms", "n"} <= set(row.to_json())


def test_a_network_that_fails_is_noted(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    working = hetcomp.compile

    def failing(model: Path, **rest: Any) -> Any:
        if model.stem == "mobilenetv1":
            raise MemoryError("no memory left")
        return working(model, **rest)

    monkeypatch.setitem(vars(hetcomp), "compile", failing)
    options = BenchOptions(("mobilenetv1", "squeezenet"), ("cpu",), size=32, timing=SHORT)
    results = bench_models(options)
    assert compiled == ["cpu"]
    assert {row.model for row in results.rows} == {"squeezenet"}
    (failure,) = results.failed
    assert (failure.model, failure.error) == ("mobilenetv1", "MemoryError: no memory left")


@pytest.mark.usefixtures("compiled")
def test_summary_and_plot(tmp_path: Path) -> None:
    options = BenchOptions(("squeezenet",), ("cpu",), size=32, timing=SHORT)
    (ours, theirs) = bench_models(options).rows
    rows = [
        replace(ours, ratio_to_onnxruntime=0.5),
        replace(ours, ratio_to_onnxruntime=2.0, model="slow"),
        theirs,
    ]
    (summary,) = summarize_models(rows)
    assert (summary.plan, summary.cpu_threads, summary.networks) == ("cpu", 1, 2)
    assert summary.ratio_to_onnxruntime == pytest.approx(1.0)
    assert (summary.worst_model, summary.worst_ratio) == ("slow", 2.0)
    plot_ratios(tmp_path / "bars.svg", rows)
    assert (tmp_path / "bars.svg").stat().st_size > 5_000
