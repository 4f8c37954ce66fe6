"""QDQ networks on the NPU's reference driver: the CPU's bits, whatever the plan and what fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from networks import assert_same

import hetcomp
from hetcomp.bench import zoo
from hetcomp.options import CompileOptions
from hetcomp.plan.plan import Place

SIZES: dict[str, dict[str, Any]] = {
    "mobilenetv2": {"size": 32, "width": 0.25},
    "resnet50": {"size": 32, "width": 0.25},
    "bert_tiny": {"size": 16},
}
ON_CPU = {"mobilenetv2": 1, "resnet50": 1, "bert_tiny": 12}
"""Tasks that the NPU takes not: sums of floats, embeddings, normalisations."""
FAULTS = {
    "missing": "it is missing",
    "refuse": "it refuses",
    "memory": "there is not enough memory",
    "fail": "it fails",
    "die": "it dies",
    "hang": "no answer within",
    "exhaust": "there is not enough memory",
}

Compiled = Callable[[str], Path]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder, done = tmp_path_factory.mktemp("npu"), dict[str, Path]()

    def find(name: str) -> Path:
        if name not in done:
            done[name] = folder / f"{name}.so"
            options = CompileOptions(plan="npu", gpu=False)
            hetcomp.compile(model_of(name), output=done[name], options=options)
        return done[name]

    return find


def model_of(name: str) -> Any:
    return zoo.build(name, qdq=True, **SIZES[name])


def by_cpu(path: Path, feeds: dict[str, Any]) -> dict[str, Any]:
    with hetcomp.load(path, plan="cpu", quiet=True) as session:
        return dict(session.run(feeds))


@pytest.mark.parametrize("name", SIZES)
def test_equals_the_cpu(name: str, compiled: Compiled) -> None:
    path, feeds = compiled(name), zoo.random_inputs(model_of(name))
    expected = by_cpu(path, feeds)
    with hetcomp.load(path) as session:
        for _ in range(2):
            assert_same(session.run(feeds), expected)
        status = session.status()
        assert session.plan is not None
        places = [decision.place for decision in session.plan.decisions]
        stats = session.stats()
    assert (status.plan, status.npu, status.why_no_npu) == ("npu", "reference", "")
    assert (status.npu_fallbacks, status.runs) == (0, 2)
    assert status.npu_steps > 0
    assert places.count(Place.CPU) == ON_CPU[name]
    regions = [step for step in stats.steps if step.processor == "npu"]
    assert len(regions) == status.npu_steps
    assert all(step.count == 2 and step.mean_us > 0 for step in regions)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_cpu_takes_over(
    fault: str, compiled: Compiled, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, feeds = compiled("mobilenetv2"), zoo.random_inputs(model_of("mobilenetv2"))
    expected = by_cpu(path, feeds)
    capfd.readouterr()
    with hetcomp.load(path, npu_fault=fault, timeout_ms=400, trace=True) as session:
        for _ in range(3):
            assert_same(session.run(feeds), expected)
        status = session.status()
        session.trace(tmp_path / "trace.json")
    assert FAULTS[fault] in status.why_no_npu
    assert status.npu_fallbacks == (2 if fault == "die" else 3)
    assert status.npu == ("reference" if fault in ("refuse", "memory") else "")
    assert capfd.readouterr().err.count(FAULTS[fault]) == 1
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert any(event["ph"] == "i" and FAULTS[fault] in event["name"] for event in events)
    ran = [event for event in events if event.get("args", {}).get("processor") == "npu"]
    assert len(ran) == (2 if fault == "die" else 0)


def test_closing_leaves_a_stuck_driver_alone(compiled: Compiled) -> None:
    """It is gone on with for 2.5 s, of which closing waits for one."""
    path, feeds = compiled("mobilenetv2"), zoo.random_inputs(model_of("mobilenetv2"))
    with hetcomp.load(path, npu_fault="stuck", timeout_ms=300, quiet=True) as session:
        assert_same(session.run(feeds), by_cpu(path, feeds))
        begin = time.monotonic()
    assert 0.9 < time.monotonic() - begin < 2.2
    time.sleep(2.0)  # it ends, and what it wrote to was its own
    with hetcomp.load(path) as session:
        assert_same(session.run(feeds), by_cpu(path, feeds))


def test_switched_off(compiled: Compiled, capfd: pytest.CaptureFixture[str]) -> None:
    path, feeds = compiled("mobilenetv2"), zoo.random_inputs(model_of("mobilenetv2"))
    with hetcomp.load(path, npu="off") as session:
        assert_same(session.run(feeds), by_cpu(path, feeds))
        assert "switched off" in session.status().why_no_npu
    assert capfd.readouterr().err == ""
    with pytest.raises(hetcomp.InputError, match=r'"off", "amx", "htp", "reference", got "tpu"'):
        hetcomp.load(path, npu="tpu")
