"""QDQ networks on the NPU's reference driver: NumPy's bits, the CPU's, ONNX Runtime's; and when
the driver fails."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import assert_same
from npu_networks import SIZES, NpuNetworks
from onnxruntime_values import assert_same_values

import hetcomp
from hetcomp.bench import zoo
from hetcomp.options import CompileOptions
from hetcomp.plan.plan import Place

ON_CPU = {"mobilenetv2": 0, "resnet50": 0, "yolov8n": 4, "bert_base": 8}
"""Tasks that the NPU takes not: softmax, embeddings, indices that divide."""
FAULTS = {
    "missing": "it is missing",
    "refuse": "it refuses",
    "memory": "there is not enough memory",
    "fail": "it fails",
    "die": "it dies",
    "hang": "no answer within",
    "exhaust": "there is not enough memory",
}


@dataclass(frozen=True)
class Faulty:
    """A network whose driver will fail, what it is fed, and what the CPU makes of it."""

    path: Path
    feeds: dict[str, Any]
    expected: dict[str, Any]


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Faulty:
    """Its memory is shared among tensors, as in any file."""
    model = zoo.build("mobilenetv2", qdq=True, **SIZES["mobilenetv2"])
    path, feeds = tmp_path_factory.mktemp("npu") / "m.so", zoo.random_inputs(model)
    hetcomp.compile(model, output=path, options=CompileOptions(plan="npu", gpu=False))
    with hetcomp.load(path, plan="cpu", quiet=True) as session:
        return Faulty(path, feeds, dict(session.run(feeds)))


@pytest.mark.parametrize("name", SIZES)
def test_every_value(name: str, npu_networks: NpuNetworks) -> None:
    """Every tensor between tasks is NumPy's and the CPU kernels', and ONNX Runtime's where that
    has it."""
    network = npu_networks(name)
    with hetcomp.load(network.path, npu="reference") as session:
        for _ in range(2):
            got = session.run(network.feeds)
            assert_same(got, network.by_cpu)
        status, stats = session.status(), session.stats()
        assert session.plan is not None
        places = [decision.place for decision in session.plan.decisions]
    assert network.compiled.differences(network.feeds, got) == []
    assert_same_values(got, network.by_onnxruntime, exact=True)
    assert (status.plan, status.npu, status.why_no_npu) == ("npu", "reference", "")
    assert (status.npu_fallbacks, status.runs) == (0, 2)
    assert status.npu_steps > 0
    assert places.count(Place.CPU) == ON_CPU[name]
    regions = [step for step in stats.steps if step.processor == "npu"]
    assert len(regions) == status.npu_steps
    assert all(step.count == 2 and step.mean_us > 0 for step in regions)


def test_the_oracle_sees_one_wrong_element(npu_networks: NpuNetworks) -> None:
    """In the middle of a region, by its task; what reads it is computed from what is right."""
    network = npu_networks("mobilenetv2")
    graph = network.compiled.lowered.graph
    task = next(task for task in graph.tasks[20:] if task.npu)
    name = graph.tensors[task.outputs[0]].name
    got = {key: np.array(value) for key, value in network.by_cpu.items()}
    got[name].flat[5] ^= 1
    (found,) = network.compiled.differences(network.feeds, got)
    assert found == f"{task.name}: 1 of {got[name].size} differ"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_cpu_takes_over(
    fault: str, mobilenet: Faulty, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    with hetcomp.load(mobilenet.path, npu_fault=fault, timeout_ms=400, trace=True) as session:
        for _ in range(3):
            assert_same(session.run(mobilenet.feeds), mobilenet.expected)
        status = session.status()
        session.trace(tmp_path / "trace.json")
    assert FAULTS[fault] in status.why_no_npu
    assert status.npu_fallbacks == (2 if fault == "die" else 3)
    assert status.npu == ("reference" if fault in ("refuse", "memory") else "")
    assert capfd.readouterr().err.count(FAULTS[fault]) == 1
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert any(event["ph"] == "i" and FAULTS[fault] in event["name"] for event in events)
    ran = [event for event in events if event.get("args", {}).get("processor") == "npu"]
    assert len(ran) == (1 if fault == "die" else 0)


def test_closing_leaves_a_stuck_driver_alone(mobilenet: Faulty) -> None:
    """It is gone on with for 2.5 s, of which closing waits for one."""
    path, feeds, expected = mobilenet.path, mobilenet.feeds, mobilenet.expected
    with hetcomp.load(path, npu_fault="stuck", timeout_ms=300, quiet=True) as session:
        assert_same(session.run(feeds), expected)
        begin = time.monotonic()
    assert 0.9 < time.monotonic() - begin < 2.2
    time.sleep(2.0)  # it ends, and what it wrote to was its own
    with hetcomp.load(path) as session:
        assert_same(session.run(feeds), expected)


def test_switched_off(mobilenet: Faulty, capfd: pytest.CaptureFixture[str]) -> None:
    path, feeds, expected = mobilenet.path, mobilenet.feeds, mobilenet.expected
    with hetcomp.load(path, npu="off") as session:
        assert_same(session.run(feeds), expected)
        assert "switched off" in session.status().why_no_npu
    assert capfd.readouterr().err == ""
    with pytest.raises(hetcomp.InputError, match=r'"off", "amx", "htp", "reference", got "tpu"'):
        hetcomp.load(path, npu="tpu")
