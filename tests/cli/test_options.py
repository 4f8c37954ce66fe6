"""Every option of a command reaches the object that the compiler, the tuner or a bench gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hetcomp
from hetcomp import tuning
from hetcomp.bench import bars, layers, models, roofline
from hetcomp.bench.ceilings import Ceilings
from hetcomp.bench.layers import LayersReport
from hetcomp.bench.networks import Results
from hetcomp.cli import main

Seen = list[Any]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Options with which compiler, tuner and benches were called; none of them runs."""
    found: Seen = []

    def catch(place: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            found.append(place(*arguments, **named))
            raise SystemExit(0)

        return call

    first, options = catch(lambda options, *_: options), catch(lambda *_, options, **__: options)
    monkeypatch.setitem(vars(hetcomp), "compile", options)
    monkeypatch.setattr(tuning, "tune", options)
    monkeypatch.setattr(models, "bench_models", first)
    monkeypatch.setattr(layers, "bench_layers", first)
    return found


COMPILE = ("compile", "m.onnx", "-o", "m.so")
TUNE = ("tune", "m.onnx", "--db", "d.jsonl")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ((*COMPILE, "--exact"), {"exact": True}),
        ((*COMPILE, "--device-class", "gpu"), {"device_class": "gpu"}),
        ((*COMPILE, "--tuned", "d.jsonl"), {"tuned": "d.jsonl"}),
        ((*COMPILE, "--precision", "int8"), {"precision": "int8"}),
        ((*COMPILE, "--opencl-f16", "on"), {"opencl_f16": "on"}),
        (
            (*COMPILE, "--calibrate", "s.npz", "--keep-float", "a, b"),
            {"calibrate": "s.npz", "keep_float": ("a", "b")},
        ),
        (COMPILE, {"exact": False, "device_class": "auto", "tuned": "", "precision": "auto"}),
        (
            ("bench", "models", "--exact", "--qdq", "--plot", "f.png", "--lock", "l"),
            {"exact": True, "qdq": True, "lock": Path("l"), "precision": "auto"},
        ),
        (("bench", "models", "--precision", "f16"), {"precision": "f16"}),
        (
            ("bench", "models"),
            {
                "plans": ("cpu", "gpu", "auto"),
                "exact": False,
                "qdq": False,
                "lock": None,
                "profile": "",
            },
        ),
        (
            ("bench", "layers", "--exact", "--qdq", "--plot", "f.png", "--lock", "l"),
            {"exact": True, "qdq": True, "lock": Path("l")},
        ),
        (("bench", "layers"), {"exact": False, "qdq": False, "lock": None}),
        (
            (*TUNE, "--device", "cpu", "--trials", "3", "--seed", "1"),
            {"device": "cpu", "trials": 3, "seed": 1},
        ),
        (TUNE, {"device": "auto", "trials": 200, "seed": 0}),
    ],
    ids=" ".join,
)
def test_options_arrive(
    command: tuple[str, ...],
    expected: Mapping[str, Any],
    seen: Seen,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(main, command)
    (options,) = seen
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize("what", ["models", "layers"])
def test_plots_go_where_they_are_wanted(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    nothing: Results[Any] = Results((), ())
    roof = Ceilings("cpu", 200.0, 190.0, 20.0, 120.0)
    monkeypatch.setattr(models, "bench_models", lambda *_: nothing)
    monkeypatch.setattr(layers, "bench_layers", lambda *_: LayersReport(nothing, (roof,)))
    monkeypatch.setattr(bars, "plot_ratios", lambda path, *_: drawn.append(path))
    monkeypatch.setattr(roofline, "plot_roofline", lambda path, *_: drawn.append(path))
    command = ["bench", what, "--models", "squeezenet", "--plot", str(tmp_path / "f.png")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert drawn == [tmp_path / "f.png"]


def test_bench_layers_for_real(tmp_path: Path) -> None:
    plot = tmp_path / "roofline.png"
    command = ["bench", "layers", "--models", "squeezenet", "--processor", "cpu", "--size", "64"]
    result = CliRunner().invoke(main, [*command, "--quick", "--plot", str(plot), "--json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["failed"] == []
    assert {row["model"] for row in data["rows"]} == {"squeezenet"}
    assert all(row["gflops"] > 0.0 for row in data["rows"])
    assert plot.read_bytes().startswith(b"\x89PNG")
