"""QDQ networks on driver `amx`: the CPU's bits on tiles modelled, emulated, real and missing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import npu_comparison
import numpy as np
import onnx
import pytest
from amx_build import modelled_runtime
from emulated_amx import Counts, Emulator, run_in_emulator
from networks import assert_close, assert_same
from npu_networks import SIZES, NpuNetworks

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import reference_outputs
from hetcomp.devices.amx import why_no_amx
from hetcomp.options import CompileOptions
from hetcomp.runtime import SessionStatus

OPTIONS = CompileOptions(plan="npu", npu_driver="amx", gpu=False)
FLOATS: dict[str, dict[str, Any]] = {
    "resnet18": {"size": 32, "width": 0.5},
    "bert_tiny": {"size": 16},
}
BF16_TOLERANCE = 3e-2
"""Of the largest output, as for the CPU's bf16: 2^-9 of each number between tasks."""


def bert_tiny() -> onnx.ModelProto:
    return zoo.build("bert_tiny", qdq=True, size=16)


def run(path: Path, feeds: dict[str, Any], **options: Any) -> tuple[dict[str, Any], SessionStatus]:
    with hetcomp.load(path, **options) as session:
        session.run(feeds)
        return dict(session.run(feeds)), session.status()


def test_modelled_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hetcomp.codegen.link.runtime_objects", modelled_runtime(tmp_path))
    path, feeds = tmp_path / "model.so", zoo.random_inputs(bert_tiny())
    hetcomp.compile(bert_tiny(), output=path, options=OPTIONS)
    expected, _ = run(path, feeds, npu="reference")
    assert_same(run(path, feeds, plan="cpu")[0], expected)
    got, status = run(path, feeds)
    assert_same(got, expected)
    assert (status.npu, status.why_no_npu, status.npu_fallbacks) == ("amx", "", 0)
    assert status.npu_steps > 0


@pytest.mark.parametrize("name", SIZES)
def test_instructions_in_a_fresh_process(
    amx_emulator: Emulator, name: str, npu_networks: NpuNetworks, tmp_path: Path
) -> None:
    """A trap emulator executes the driver's instructions, of two sessions' threads."""
    network, feeds, counted = npu_networks(name), tmp_path / "feeds.npz", tmp_path / "counts"
    np.savez(feeds, **network.feeds)
    command = [sys.executable, npu_comparison.__file__, str(network.path), str(feeds)]
    done = run_in_emulator(amx_emulator, command, counted)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = Counts.read(counted)
    assert counts.instructions["tdpbusd"] > 0
    # Each session's worker has configured tiles of its own, and released them.
    assert (counts.threads, counts.left) == (2, 0)


@pytest.mark.parametrize("name", FLOATS)
def test_bfloat16_in_a_fresh_process(amx_emulator: Emulator, name: str, tmp_path: Path) -> None:
    """A float32 model in bf16: driver amx has the reference's bits, near ONNX Runtime's."""
    model, path, feeds = zoo.build(name, **FLOATS[name]), tmp_path / "m.so", tmp_path / "feeds.npz"
    inputs = zoo.random_inputs(model)
    hetcomp.compile(model, output=path, options=replace(OPTIONS, precision="bf16"))
    np.savez(feeds, **inputs)
    command = [sys.executable, npu_comparison.__file__, str(path), str(feeds)]
    done = run_in_emulator(amx_emulator, command, tmp_path / "counts")
    assert done.returncode == 0, done.stdout + done.stderr
    assert Counts.read(tmp_path / "counts").instructions["tdpbf16ps"] > 0
    got, status = run(path, inputs, npu="reference")
    assert (status.npu, status.npu_fallbacks) == ("reference", 0)
    onnx.save(model, tmp_path / "m.onnx")
    assert_close(got, reference_outputs(tmp_path / "m.onnx", inputs), name, BF16_TOLERANCE)
    # A CPU with tiles, but without products of bfloat16, hands the regions back.
    done = run_in_emulator(amx_emulator, command, without="bf16")
    assert (done.returncode, "the CPU has no amx-bf16" in done.stdout) == (1, True)


def test_this_machine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With AMX or without: the same bits, and the reason that `hetcomp devices` gives too."""
    path, feeds = tmp_path / "model.so", zoo.random_inputs(bert_tiny())
    hetcomp.compile(bert_tiny(), output=path, options=OPTIONS)
    expected, _ = run(path, feeds, plan="cpu")
    capfd.readouterr()
    got, status = run(path, feeds)
    assert_same(got, expected)
    missing = bool(why_no_amx())
    assert status.npu == ("" if missing else "amx")
    assert status.npu_fallbacks == (2 if missing else 0)
    assert status.why_no_npu.startswith("NPU driver amx: ") is missing
    assert capfd.readouterr().err.count("the CPU computes what was planned for the NPU") == missing
