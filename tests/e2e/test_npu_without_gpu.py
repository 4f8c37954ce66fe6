"""A plan of CPU, GPU and NPU goes on with the NPU where the GPU is missing, unfit or fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fresh_process import Script

import hetcomp
from hetcomp.bench import zoo
from hetcomp.options import CompileOptions
from hetcomp.plan.graph import TaskGraph
from hetcomp.plan.io import write_plan
from hetcomp.plan.plan import Decision, Place, Plan
from hetcomp.runtime import read_image

RUN = """
import json, numpy as np, hetcomp
options = json.loads({options!r})
feeds = dict(np.load({feeds!r}))
with hetcomp.load({path!r}, **options) as session:
    runs = [session.run(feeds) for _ in range(2)]
    status = session.status()
np.savez({output!r}, **{{f"{{i}}{{k}}": v for i, run in enumerate(runs) for k, v in run.items()}})
answer = {{key: getattr(status, key) for key in
          ("plan", "npu", "npu_steps", "gpu_steps", "npu_fallbacks")}}
"""


def in_turns(graph: TaskGraph) -> Plan:
    """Processors by turns, where they take the task."""
    decisions = []
    for number, task in enumerate(graph.tasks):
        places = [Place.CPU]
        places += [Place.GPU] if graph.kernels[task.kernel].opencl else []
        places += [Place.NPU] if task.npu else []
        decisions.append(Decision(task.name, places[number % len(places)]))
    return Plan("three", tuple(decisions))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled for a plan of three, with inputs and the CPU's outputs beside it."""
    folder = tmp_path_factory.mktemp("three")
    network = zoo.build("squeezenet", qdq=True, size=48, width=0.25)
    first, path, file = folder / "first.so", folder / "m.so", folder / "plan.json"
    hetcomp.compile(network, output=first, options=CompileOptions(plan="npu"))
    write_plan(file, in_turns(read_image(first).graph))
    hetcomp.compile(
        network, output=path, options=CompileOptions(plan=str(file), npu_driver="reference")
    )
    feeds = zoo.random_inputs(network, 3)
    np.savez(folder / "feeds.npz", **feeds)
    with hetcomp.load(path, plan="cpu", quiet=True) as session:
        np.savez(folder / "expected.npz", **session.run(feeds))
    return path


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('{"device": "off"}', ""),
        ('{"memory": "coarse"}', "needs fine-grained shared memory; running on CPU and NPU"),
        ('{"memory": "buffer"}', "needs fine-grained shared memory; running on CPU and NPU"),
        ('{"fault": "wedge", "timeout_ms": 200}', "no answer within 200 ms"),
        ('{"fault": "enqueue"}', "the CPU takes over"),
    ],
)
def test_the_npu_stays(
    options: str, said: str, model: Path, script: Script, tmp_path: Path
) -> None:
    output = tmp_path / "outputs.npz"
    feeds = str(model.with_name("feeds.npz"))
    text = RUN.format(options=options, feeds=feeds, path=str(model), output=str(output))
    status, stderr = script(text)
    assert (status["plan"], status["npu"], status["gpu_steps"]) == ("npu", "reference", 0)
    assert status["npu_steps"] > 0
    assert status["npu_fallbacks"] == 0
    assert said in stderr
    expected, outputs = np.load(model.with_name("expected.npz")), np.load(output)
    for name in outputs.files:
        np.testing.assert_array_equal(outputs[name], expected[name[1:]])
    assert len(outputs.files) == 2 * len(expected.files)
