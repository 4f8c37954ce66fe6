"""`bench sync`: every tier's overhead, its definition, and what the command shows."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest
from click.testing import CliRunner
from opencl_device import skip_or_fail

import hetcomp
from hetcomp.bench import sync
from hetcomp.bench.sync import bench_sync
from hetcomp.bench.sync_chain import LAYERS, build_chain, lane_alone, split_table
from hetcomp.bench.sync_rows import SyncOptions, SyncResults
from hetcomp.cli.app import main
from hetcomp.errors import InputError

OPTIONS = SyncOptions(rounds=2, reps=4)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "chain.so"
    build_chain(path, OPTIONS.rows, OPTIONS.width)
    return path


@pytest.fixture(scope="module")
def opencl(chain: Path) -> str:
    with hetcomp.load(chain, plan="cpu", quiet=True) as session:
        table = split_table(session.graph)
        try:
            session.set_table(table)
        except hetcomp.DeviceError as error:
            skip_or_fail(f"no OpenCL device: {error}")
        return session.status().device


@pytest.fixture(scope="module")
def results(opencl: str) -> SyncResults:
    return bench_sync(OPTIONS)


def test_every_layer_waits_for_both_halves_of_the_one_before(chain: Path) -> None:
    with hetcomp.load(chain, plan="cpu", device="off") as session:
        table = split_table(session.graph)
    waits = list(range(LAYERS))
    assert [step.wait for step in table.cpu] == waits
    assert [step.wait for step in table.gpu] == waits
    assert {step.wait for step in lane_alone(table, "gpu").gpu} == {0}
    assert not lane_alone(table, "cpu").gpu


def test_overhead_is_what_the_kernels_do_not_explain(results: SyncResults) -> None:
    assert [row.tier for row in results.rows] == list(OPTIONS.tiers)
    assert not results.left_out
    for row in results.rows:
        assert row.n == OPTIONS.rounds * OPTIONS.reps
        beyond_us = (row.chain_us_median - row.ideal_us) / LAYERS
        assert row.overhead_per_layer_us_p10 <= beyond_us <= row.overhead_per_layer_us_p95
    finish = results.rows[-1]
    assert finish.finish_ratio == 1.0
    assert finish.overhead_per_layer_us_median > results.rows[0].overhead_per_layer_us_median


def test_latencies_of_a_kernels_end_count_from_its_flag(results: SyncResults) -> None:
    found = results.latencies
    assert "flag_us" not in found
    # The faster samples: with other work on the cores, half of either may be time without one.
    assert 0.0 < found["hand_shake_us"].p10_us < found["sleep_us"].p10_us


def test_a_tier_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch, opencl: str) -> None:
    def load(path: Path, *, tier: str, **rest: object) -> hetcomp.Session:
        if tier == "svm":
            raise hetcomp.DeviceError("no flags")
        return hetcomp.load(path, tier=tier, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sync, "load", load)
    found = bench_sync(SyncOptions(tiers=("svm", "event"), rounds=2, reps=3))
    assert dict(found.left_out) == {"svm": "no flags"}
    assert [(row.tier, row.finish_ratio) for row in found.rows] == [("event", None)]


def test_unknown_tiers_are_refused() -> None:
    with pytest.raises(InputError, match="no tier 'cpu'"):
        SyncOptions(tiers=("cpu",))


def test_the_command(opencl: str, tmp_path: Path) -> None:
    plot = tmp_path / "sync.png"
    command = ["bench", "sync", "--quick", "--tiers", "svm-ahead,finish", "--plot", str(plot)]
    answer = CliRunner().invoke(main, [*command, "--json"], catch_exceptions=False)
    rows = json.loads(answer.stdout)["rows"]
    assert [row["tier"] for row in rows] == ["svm-ahead", "finish"]
    assert median(row["overhead_per_layer_us_p95"] for row in rows) > 0.0
    assert plot.stat().st_size > 0
    shown = CliRunner().invoke(main, command, catch_exceptions=False).stdout
    assert "8 layers of 2 x 512 x 512" in shown
    assert "clFinish returns" in shown
