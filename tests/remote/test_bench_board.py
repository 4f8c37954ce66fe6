"""`hetcomp bench models --rpc`: plans in turns on a board, whose outputs are verified here."""

from __future__ import annotations

import json

import pytest
from board import Board, once_it_serves
from click.testing import CliRunner
from opencl_device import NEEDS_OPENCL

from hetcomp.bench.models import BenchOptions, bench_models
from hetcomp.bench.timing import TimingOptions
from hetcomp.cli import main
from hetcomp.errors import InputError

COMMAND = ["bench", "models", "--models", "deepfm", "--size", "8", "--quick", "--json", "--rpc"]
CLOSE = 1e-5


@NEEDS_OPENCL
def test_plans_take_turns_there(board: Board) -> None:
    done = CliRunner().invoke(main, [*COMMAND, board.rpc])
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data["environment"]["board"] == board.rpc
    rows = {row["plan"]: row for row in data["rows"]}
    assert {plan: row["ran_plan"] for plan, row in rows.items()} == {
        "cpu": "cpu", "gpu": "gpu", "auto": "auto",
    }  # fmt: skip
    assert rows["gpu"]["tier"].startswith("svm")
    assert all(row["max_relative_error"] <= CLOSE for row in rows.values())
    assert all(0.0 < row["p10_ms"] <= row["median_ms"] <= row["p99_ms"] for row in rows.values())
    assert rows["auto"]["gain_over_best_single"] > 0.0
    assert {row["n"] for row in rows.values()} == {10}


def test_timing_goes_on_when_the_board_is_back(board: Board) -> None:
    timing = TimingOptions(rounds=60, reps=1, settle_seconds=0.05)
    options = BenchOptions(("deepfm",), ("cpu",), against=(), size=8, timing=timing, rpc=board.rpc)
    told: list[str] = []
    with once_it_serves(board, board.restart, after_s=0.5):
        results = bench_models(options, lambda text, _part: told.append(text))
    assert board.starts == 2
    assert not results.failed
    assert [row.n for row in results.rows] == [60]
    assert f"deepfm (1 of 1): waiting for {board.rpc}" in told


def test_nobody_else_is_there(board: Board) -> None:
    with pytest.raises(InputError, match="no onnxruntime on a board"):
        BenchOptions(("deepfm",), ("cpu",), rpc=board.rpc)
    done = CliRunner().invoke(main, [*COMMAND, board.rpc, "--against", "onnxruntime"])
    assert done.exit_code == 2
    assert "--against: not with --rpc" in done.output
