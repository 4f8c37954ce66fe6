"""Whole networks' times by a profile's models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hetcomp.bench.network_times import measured_networks, network_times
from hetcomp.bench.networks import silent
from hetcomp.bench.predictors import prediction_us
from hetcomp.cost.booster import TrainOptions
from hetcomp.cost.costs import SyncCost
from hetcomp.cost.profile import DeviceProfile, KernelSample
from hetcomp.cost.training import with_models
from hetcomp.cost.work import KernelWork
from hetcomp.errors import InputError

LIMITS = {"flops_per_us": 1e5, "bytes_per_us": 2e4, "near_bytes_per_us": 6e4}
PROFILE = DeviceProfile(
    "here",
    {},
    0,
    {"svm-ahead": SyncCost()},
    limits={f"{side}.{name}": value for side in ("cpu", "gpu") for name, value in LIMITS.items()},
)


def _row(plan: str, threads: int, median_ms: float, ran: str | None = None) -> dict[str, object]:
    return {
        "model": "squeezenet",
        "plan": plan,
        "ran_plan": ran or plan,
        "size": None,
        "cpu_threads": threads,
        "median_ms": median_ms,
    }


def test_rows_of_one_processor_and_one_thread_count(tmp_path: Path) -> None:
    rows = [_row("cpu", 1, 5.0), _row("cpu", 2, 3.0), _row("auto", 1, 2.0), _row("gpu", 1, 6.0)]
    rows.append(_row("split", 1, 4.0))
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    assert measured_networks(path) == {"squeezenet": {"cpu": 5.0, "gpu": 6.0, "split": 4.0}}
    path.write_text(json.dumps({"rows": [_row("gpu", 1, 6.0, ran="cpu")]}), encoding="utf-8")
    assert measured_networks(path) == {}


def _flag(options: dict[str, object]) -> str:
    return next(iter(options)).replace("_", "-")


@pytest.mark.parametrize(
    "options",
    [
        {"qdq": True},
        {"exact": True},
        {"precision": "bf16"},
        {"tuned": "a.jsonl"},
        {"device_class": "gpu"},
    ],
)
def test_networks_compiled_otherwise_are_refused(
    tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "models.json"
    usual = {"qdq": False, "exact": False, "precision": "auto"}
    rows = [_row("cpu", 1, 5.0)]
    path.write_text(json.dumps({"options": usual, "rows": rows}), encoding="utf-8")
    assert measured_networks(path)
    path.write_text(json.dumps({"options": {**usual, **options}, "rows": rows}), encoding="utf-8")
    with pytest.raises(InputError, match=f"measured with --{_flag(options)}"):
        measured_networks(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="TypeError"):
        measured_networks(path)


def test_a_network_is_predicted_without_compiling_it() -> None:
    times = {"squeezenet": {"cpu": 5.0, "gpu": 6.0, "split": 4.0}}
    found = network_times(PROFILE, times, silent)
    assert not found.failed
    cpu, gpu, split = found.rows
    assert 0.4 * cpu.predicted_ms < split.predicted_ms < cpu.predicted_ms
    # 0.7 GFLOP at 100 GFLOP/s at most.
    assert 3.5 < cpu.predicted_ms < 30.0
    assert gpu.predicted_ms > cpu.predicted_ms
    assert 0.0 < cpu.planning_s == gpu.planning_s
    copying = replace(PROFILE, limits={**PROFILE.limits, "copy_bytes_per_us": 1000.0})
    slower = network_times(copying, times, silent).rows[0]
    # The image and a thousand classes at 1 GB/s.
    assert 1000 * (slower.predicted_ms - cpu.predicted_ms) == pytest.approx(
        4 * (3 * 224 * 224 + 1000) / 1000.0
    )
    assert cpu.error_percent == pytest.approx(100 * (cpu.predicted_ms / 5.0 - 1))


def test_a_prediction_is_timed_in_a_batch() -> None:
    facts = {"pixels": 64.0, "columns": 64.0, "depth": 64.0, "taps": 1.0, "map_taps": 1.0}
    work = KernelWork("linear", "direct", "cpu", 8, 4, 8, 4, facts)
    samples = tuple(KernelSample(work, (10.0 + n,), f"g{n}") for n in range(30))
    profile = with_models(replace(PROFILE, samples=samples), TrainOptions(rounds=20))
    assert 0.0 < prediction_us(profile) < 500.0
