"""The command line on a real network: every command, and the JSON that scripts rely on."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import CompiledNetwork, Networks, assert_close

from hetcomp.bench import zoo

PLACES = {"cpu", "gpu", "split"}
SEED = 5
TIMES = {"load_ms", "first_ms", "warm_ms"}


def hetcomp(*arguments: str | Path, folder: Path | None = None) -> str:
    """Standard output of the command in a process of its own; it must succeed."""
    command = [sys.executable, "-m", "hetcomp", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def hetcomp_json(*arguments: str | Path) -> dict[str, Any]:
    """What the command prints with --json; strict JSON, no NaN."""
    found = json.loads(hetcomp(*arguments, "--json"), parse_constant=_no_constant)
    assert isinstance(found, dict)
    return found


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture(scope="module")
def network(networks: Networks) -> CompiledNetwork:
    return networks("squeezenet")


def test_devices() -> None:
    devices = hetcomp_json("devices")["devices"]
    kinds = [device["kind"] for device in devices]
    assert kinds.count("cpu") == 1
    for device in devices:
        assert {"kind", "name", "verdict", "advice"} <= device.keys()
        assert device["verdict"].keys() == {"ok", "reason"}
        assert device["verdict"]["ok"] or device["verdict"]["reason"]
    assert "cpu" in hetcomp("devices")


def test_compile_and_run_validate(network: CompiledNetwork, tmp_path: Path) -> None:
    so = tmp_path / "m.so"
    compiled = hetcomp_json("compile", network.onnx, "-o", so, "--plan", "auto")
    assert compiled["output"] == str(so)
    assert compiled["size_bytes"] == so.stat().st_size
    assert (compiled["model"], compiled["plan"]) == ("squeezenet", "auto")
    assert set(compiled["places"]) <= PLACES
    assert sum(compiled["places"].values()) == compiled["tasks"]
    assert {"import", "fuse", "plan", "link"} <= compiled["seconds"].keys()
    assert [path.name for path in tmp_path.iterdir()] == ["m.so"]
    ran = hetcomp_json("run", so, "--validate", network.onnx, "--seed", str(SEED))
    assert ran.keys() == {*TIMES, "outputs", "status", "validate"}
    assert all(ran[name] > 0 for name in TIMES)
    assert ran["validate"]["ok"]
    (output,) = ran["validate"]["outputs"]
    assert output["name"] == "logits"
    assert output["max_relative_error"] <= ran["validate"]["tolerance"] == 1e-4
    assert ran["status"]["plan"] == "auto"
    assert "ok" in hetcomp("run", so, "--validate", network.onnx)


@pytest.mark.parametrize("plan", ["cpu", "gpu", "split"])
def test_run_with_files(network: CompiledNetwork, tmp_path: Path, plan: str) -> None:
    given, made = tmp_path / "in.npz", tmp_path / "out.npz"
    np.savez(given, **network.feeds(SEED))
    arguments = ("--inputs", given, "--outputs", made, "--plan", plan, "--validate", network.onnx)
    ran = hetcomp_json("run", network.so, *arguments)
    assert ran["status"]["requested_plan"] == plan
    with np.load(made) as results:
        assert_close(dict(results), network.expected(SEED), plan)
    (described,) = ran["outputs"]
    assert (described["name"], described["dtype"]) == ("logits", "float32")
    assert described["shape"] == list(network.expected(SEED)["logits"].shape)


def test_run_without_device(network: CompiledNetwork) -> None:
    ran = hetcomp_json("run", network.so, "--device", "off", "--validate", network.onnx)
    assert (ran["status"]["tier"], ran["validate"]["ok"]) == ("cpu", True)


def test_explain(network: CompiledNetwork, tmp_path: Path) -> None:
    data = hetcomp_json("explain", network.so)
    assert data["model"] == "squeezenet"
    assert data["plans"][:4] == ["auto", "cpu", "gpu", "split"]
    assert all(name.startswith("auto-") for name in data["plans"][4:])  # the ladder
    assert data["build"]["auto"]
    assert sum(data["places"].values()) == len(data["tasks"])
    for task in data["tasks"]:
        assert task["processor"] in PLACES
        assert 0.0 <= task["cpu_share"] <= 1.0
        assert (task["cut"] is None) == (task["axis"] is None) == (task["processor"] != "split")
        assert task["cpu_us"] > 0.0
        assert task["reason"]
        assert isinstance(task["source"], list)
    plan = tmp_path / "plan.json"
    table = hetcomp("explain", network.so, "--plan-out", plan)
    for task in data["tasks"]:
        assert task["task"] in table
    assert len(json.loads(plan.read_text())["decisions"]) == len(data["tasks"])


def test_bench_models(tmp_path: Path) -> None:
    size = zoo.small_size("squeezenet")["size"]
    arguments = ("--models", "squeezenet", "--plan", "cpu,auto", "--size", str(size), "--quick")
    rows = hetcomp_json("bench", "models", *arguments)["rows"]
    assert [row["plan"] for row in rows] == ["cpu", "auto", "onnxruntime"]
    for row in rows:
        assert (row["model"], row["threads"], row["size"]) == ("squeezenet", 1, size)
        assert 0.0 < row["p10_ms"] <= row["median_ms"] <= row["p99_ms"]
        assert row["n"] == len(row["samples_ms"]) > 0
        assert math.isfinite(row["ratio_to_onnxruntime"])
        assert row["fallbacks"] == 0
    assert rows[-1]["ratio_to_onnxruntime"] == 1.0
    assert all(row["max_relative_error"] <= 1e-4 for row in rows[:-1])
