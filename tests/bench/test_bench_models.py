"""Rows of `bench models`, with ONNX Runtime and doubles for compiler and runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from blank_status import BLANK_STATUS

import hetcomp
from hetcomp.bench import models, peers, zoo
from hetcomp.bench.bars import plot_ratios
from hetcomp.bench.models import BenchOptions, bench_models
from hetcomp.bench.peers import PEERS, Peer, onnxruntime_run, open_peers
from hetcomp.bench.reference import relative_error
from hetcomp.bench.summary import summarize_gains, summarize_models, summarize_peers
from hetcomp.bench.timing import Arm, Samples, TimingOptions
from hetcomp.cli.bench_options import Asked
from hetcomp.errors import InputError
from hetcomp.options import CompileOptions
from hetcomp.runtime import SessionStatus

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
        return replace(BLANK_STATUS, plan=self.plan, threads=self.threads, gpu_steps=steps)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[CompileOptions]:
    """Options of what was compiled; a file made for `auto` has the plan `cpu` too."""
    calls: list[CompileOptions] = []

    def fake_compile(model: Path, *, output: Path, options: Any, **_: Any) -> None:
        assert onnx.load(model).graph.node
        calls.append(options)
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


def test_rows(compiled: list[CompileOptions]) -> None:
    seen: list[str] = []
    options = BenchOptions(
        ("squeezenet",), ("cpu", "split", "auto"), threads=2, size=32, timing=SHORT
    )
    rows = bench_models(options, lambda text, _: seen.append(text)).rows
    assert [options.plan for options in compiled] == ["auto", "split"]
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


def test_the_cpu_keeps_its_kernels_beside_class_gpu(compiled: list[CompileOptions]) -> None:
    options = BenchOptions(
        ("squeezenet",), ("cpu", "auto"), size=32, timing=SHORT, device_class="gpu"
    )
    bench_models(options)
    assert [(one.plan, one.device_class) for one in compiled] == [("auto", "gpu"), ("cpu", "gpu")]


def test_kernels_by_a_data_base(compiled: list[CompileOptions], tmp_path: Path) -> None:
    tuned = tmp_path / "tuned.jsonl"
    with pytest.raises(InputError, match="does not exist; hetcomp tune makes one"):
        BenchOptions(("squeezenet",), ("cpu",), tuned=str(tuned))
    tuned.touch()
    options = BenchOptions(("squeezenet",), ("cpu",), size=32, timing=SHORT, tuned=str(tuned))
    bench_models(options)
    assert [one.tuned for one in compiled] == [str(tuned)]
    assert options.to_json()["tuned"] == str(tuned)


@pytest.mark.usefixtures("compiled")
def test_without_a_peer_there_are_no_ratios() -> None:
    options = BenchOptions(("squeezenet",), ("cpu",), against=(), size=32, timing=SHORT)
    (row,) = bench_models(options).rows
    assert summarize_models([row]) == ()
    assert row.ratio_to_onnxruntime is None
    assert {"model", "plan", "threads", "median_ms", "p10_ms", "p99_ms", "n"} <= set(row.to_json())


def test_a_network_that_fails_is_noted(
    compiled: list[CompileOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    working = hetcomp.compile

    def failing(model: Path, **rest: Any) -> Any:
        if model.stem == "mobilenetv1":
            raise MemoryError("no memory left")
        return working(model, **rest)

    monkeypatch.setitem(vars(hetcomp), "compile", failing)
    options = BenchOptions(("mobilenetv1", "squeezenet"), ("cpu",), size=32, timing=SHORT)
    results = bench_models(options)
    assert [options.plan for options in compiled] == ["cpu"]
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


@pytest.fixture
def times_ms(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[float, ...]]:
    """Time of each round by arm; 1 ms a round where nothing is said."""
    times: dict[str, tuple[float, ...]] = {}

    def fake_interleave(arms: Sequence[Arm], *_: Any) -> tuple[Samples, ...]:
        rounds = [times.get(arm.name, (1.0, 1.0, 1.0)) for arm in arms]
        return tuple(
            Samples(arm.name, tuple((time,) for time in taken))
            for arm, taken in zip(arms, rounds, strict=True)
        )

    monkeypatch.setattr(models, "interleave", fake_interleave)
    return times


def gains(*plans: str, threads: int = 1) -> dict[tuple[str, int], float | None]:
    options = BenchOptions(("squeezenet",), plans, threads=threads, size=32, timing=SHORT)
    rows = bench_models(options).rows
    return {(row.plan, row.cpu_threads): row.gain_over_best_single for row in rows}


@pytest.mark.usefixtures("compiled")
def test_gain_is_over_the_better_single_processor_within_rounds(
    times_ms: dict[str, tuple[float, ...]],
) -> None:
    times_ms |= {
        "cpu x1": (12.0, 36.0, 11.0),
        "cpu x2": (6.0, 18.0, 7.0),
        "gpu x2": (10.0, 30.0, 11.5),  # the better one; the CPU is faster in one round
        "auto x2": (5.0, 20.0, 10.0),
    }
    found = gains("cpu", "gpu", "auto", threads=2)
    assert found[("gpu", 1)] == 1.0
    assert found[("auto", 1)] == 1.5
    assert found[("cpu", 2)] == pytest.approx(5.0 / 3.0)
    assert found[("onnxruntime", 2)] is None


@pytest.mark.usefixtures("compiled")
def test_no_gain_unless_both_processors_were_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gains("cpu", "auto")[("auto", 1)] is None
    assert gains("gpu", "auto")[("auto", 1)] is None
    fallen = replace(BLANK_STATUS, plan="cpu", threads=1, why_no_gpu="no device")
    monkeypatch.setattr(FakeSession, "status", lambda self: fallen)
    assert set(gains("cpu", "gpu", "auto").values()) == {None}


@pytest.mark.usefixtures("compiled")
def test_gains_are_summarized_without_a_peer(times_ms: dict[str, tuple[float, ...]]) -> None:
    times_ms["auto x1"] = (0.5, 0.5, 0.5)
    options = BenchOptions(("squeezenet",), ("cpu", "gpu", "auto"), against=(), timing=SHORT)
    rows = bench_models(options).rows
    auto = rows[2]
    assert auto.gain_over_best_single == auto.gain_p10 == auto.gain_p90 == 2.0
    slow = replace(auto, model="slow", gain_over_best_single=0.5)
    (summary,) = summarize_gains([*rows, slow])
    assert (summary.plan, summary.networks) == ("auto", 2)
    assert summary.gain_over_best_single == pytest.approx(1.0)
    assert (summary.worst_model, summary.worst_gain) == ("slow", 0.5)


def test_auto_is_compiled_by_the_profile_under_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[CompileOptions]
) -> None:
    monkeypatch.setattr(models, "load_profile", lambda _: None)
    lock = tmp_path / "lock"
    plans = ("gpu", "auto")
    options = BenchOptions(
        ("squeezenet",), plans, size=32, profile="device.json", lock=lock, timing=SHORT
    )
    bench_models(options)
    assert [(one.plan, one.profile, one.lock) for one in compiled] == [
        ("auto", "device.json", lock),
        ("gpu", "", lock),
    ]


def test_a_profile_needs_plan_auto() -> None:
    with pytest.raises(InputError, match="for plan auto, not cpu, gpu"):
        BenchOptions(("squeezenet",), ("cpu", "gpu"), profile="device.json")


def test_an_npu_that_does_not_run_is_no_row(
    compiled: list[CompileOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BenchOptions(("squeezenet",), plans=("npu",), size=32, timing=SHORT, npu_driver="amx")
    assert [row.plan for row in bench_models(options).rows][:1] == ["npu"]
    assert compiled[0].npu_driver == "amx"
    fell = replace(BLANK_STATUS, plan="npu", threads=1, npu_fallbacks=1, why_no_npu="no tiles")
    monkeypatch.setattr(FakeSession, "status", lambda _session: fell)
    found = bench_models(options)
    assert found.rows == ()
    assert "no tiles" in found.failed[0].error


@pytest.mark.usefixtures("compiled")
def test_ratios_to_the_fastest_engine(
    monkeypatch: pytest.MonkeyPatch, times_ms: dict[str, tuple[float, ...]]
) -> None:
    def opened(names: Sequence[str], model: Path, feeds: Any, threads: int) -> list[Peer]:
        run = onnxruntime_run(model, feeds, 1)
        return [
            Peer("onnxruntime", 1, run),
            Peer("onnxruntime", threads, run),
            Peer(PEERS[1], 2, run),
        ]

    monkeypatch.setattr(models, "open_peers", opened)
    times_ms |= {
        "auto x2": (3.0, 3.0, 3.0),
        "onnxruntime x1": (9.0, 9.0, 9.0),
        "onnxruntime x2": (5.0, 5.0, 5.0),
        "openvino x2": (4.0, 6.0, 2.0),
    }
    options = BenchOptions(
        ("squeezenet",), ("auto",), threads=2, against=PEERS, size=32, timing=SHORT
    )
    rows = bench_models(options).rows
    assert [row.plan for row in rows] == ["auto", "onnxruntime", "onnxruntime", "openvino"]
    assert {row.best_peer for row in rows} == {"openvino x2"}
    assert rows[0].ratio_to_best_peer == pytest.approx(0.75)
    assert rows[0].ratio_to_onnxruntime == pytest.approx(0.6)
    (summary,) = summarize_peers([*rows, replace(rows[0], model="slow", ratio_to_best_peer=3.0)])
    assert (summary.plan, summary.networks, summary.worst_model) == ("auto", 2, "slow")
    assert summary.ratio_to_best_peer == pytest.approx(1.5)
    assert summarize_peers(rows[:3]) == ()


def test_an_engine_that_is_not_installed_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None if name == "openvino" else object())
    asked = Asked(**{**dict.fromkeys(Asked.__dataclass_fields__), "against": ",".join(PEERS)})
    asked = replace(asked, models="squeezenet")
    assert asked.fields(SHORT, SHORT)["against"] == ("onnxruntime",)
    assert "openvino is not installed and left out" in capsys.readouterr().err


def test_openvino_gives_the_outputs(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="optional: hetcomp[contest]")
    model = zoo.build("squeezenet", size=32)
    onnx.save(model, tmp_path / "model.onnx")
    feeds = zoo.random_inputs(model)
    ours, theirs = open_peers(PEERS, tmp_path / "model.onnx", feeds, 1)
    assert (theirs.name, theirs.threads > 0) == ("openvino", True)
    expected, got = ours.run(), theirs.run()
    assert list(got) == list(expected)
    for name, values in expected.items():
        # By default OpenVINO computes in bfloat16 where the CPU has it.
        assert relative_error(got[name], values) < 0.05
