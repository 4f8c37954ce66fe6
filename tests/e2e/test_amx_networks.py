"""QDQ networks on driver `amx`: the CPU's bits, on modelled tiles, on real ones and without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amx_build import modelled_runtime

import hetcomp
from hetcomp.bench import zoo
from hetcomp.devices.amx import why_no_amx
from hetcomp.options import CompileOptions
from hetcomp.runtime import SessionStatus

OPTIONS = CompileOptions(plan="npu", npu_driver="amx", gpu=False)
SIZES: dict[str, dict[str, Any]] = {
    "resnet50": {"size": 32, "width": 0.25},
    "bert_tiny": {"size": 16},
}


def model_of(name: str) -> Any:
    return zoo.build(name, qdq=True, **SIZES[name])


def run(path: Path, feeds: dict[str, Any], **options: Any) -> tuple[dict[str, Any], SessionStatus]:
    with hetcomp.load(path, **options) as session:
        session.run(feeds)
        return dict(session.run(feeds)), session.status()


def assert_same(got: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, want in expected.items():
        np.testing.assert_array_equal(got[name], want, err_msg=name)


@pytest.mark.parametrize("name", SIZES)
def test_modelled_tiles(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hetcomp.codegen.link.runtime_objects", modelled_runtime(tmp_path))
    path, feeds = tmp_path / "model.so", zoo.random_inputs(model_of(name))
    hetcomp.compile(model_of(name), output=path, options=OPTIONS)
    expected, _ = run(path, feeds, npu="reference")
    assert_same(run(path, feeds, plan="cpu")[0], expected)
    got, status = run(path, feeds)
    assert_same(got, expected)
    assert (status.npu, status.why_no_npu, status.npu_fallbacks) == ("amx", "", 0)
    assert status.npu_steps > 0


def test_this_machine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With AMX or without: the same bits, and the reason that `hetcomp devices` gives too."""
    path, feeds = tmp_path / "model.so", zoo.random_inputs(model_of("bert_tiny"))
    hetcomp.compile(model_of("bert_tiny"), output=path, options=OPTIONS)
    expected, _ = run(path, feeds, plan="cpu")
    capfd.readouterr()
    got, status = run(path, feeds)
    assert_same(got, expected)
    missing = bool(why_no_amx())
    assert status.npu == ("" if missing else "amx")
    assert status.npu_fallbacks == (2 if missing else 0)
    assert status.why_no_npu.startswith("NPU driver amx: ") is missing
    assert capfd.readouterr().err.count("the CPU computes what was planned for the NPU") == missing
