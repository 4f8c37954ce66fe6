"""`hetcomp run --rpc`: a plan is verified on a board, with ONNX Runtime here."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
from board import Board
from click.testing import CliRunner

import hetcomp
from hetcomp.bench import zoo
from hetcomp.cli import main
from hetcomp.options import CompileOptions


def test_outputs_are_validated_and_timed(board: Board, tmp_path: Path) -> None:
    model, path = tmp_path / "m.onnx", tmp_path / "m.so"
    onnx.save(zoo.build("deepfm"), model)
    hetcomp.compile(model, output=path, options=CompileOptions(plan="cpu", gpu=False))
    command = ["run", str(path), "--rpc", board.rpc, "--validate", str(model), "--json"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data["validate"]["ok"]
    assert data["status"]["plan"] == "cpu"
    assert 0.0 < data["warm_ms"] < data["load_ms"]
    board.stop()
    gone = CliRunner().invoke(main, command)
    assert gone.exit_code == 1
    assert "start hetcomp_rpc there" in gone.output
    board.start()
