"""A compiled network where it is deployed: no compiler, no OpenCL, a wedged device, other doors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fresh_process import Script, build_application, run_application
from networks import CompiledNetwork, Networks, assert_close

from hetcomp.cli import main
from hetcomp.plan.io import read_plan, write_plan
from hetcomp.plan.plan import Decision, Place
from hetcomp.runtime import read_image

SEEDS = (21, 22, 23)
TIMEOUT_S = 0.3
SLACK_S = 2.0  # two busy cores: a run on the CPU takes 1 ms, its scheduling may take longer


@dataclass(frozen=True)
class Deployed:
    """A model.so in a folder of its own, with inputs to give it and what it must answer."""

    so: Path
    folder: Path
    network: CompiledNetwork


@pytest.fixture(params=["squeezenet", "bert_tiny"])
def deployed(request: pytest.FixtureRequest, networks: Networks, tmp_path: Path) -> Deployed:
    network = networks(request.param)
    so = tmp_path / "model.so"
    so.write_bytes(network.so.read_bytes())
    for seed in SEEDS:
        np.savez(tmp_path / f"feeds{seed}.npz", **network.feeds(seed))
    return Deployed(so, tmp_path, network)


# Opens the model, runs it on every set of inputs, leaves outputs in files, tells times and status.
_PROGRAM = """
import dataclasses, sys, time
import numpy as np
from hetcomp.runtime import load

session = load({so!r}, {options})
seconds = []
for seed in {seeds!r}:
    feeds = dict(np.load(f"{folder}/feeds{{seed}}.npz"))
    start = time.monotonic()
    results = session.run(feeds)
    seconds.append(time.monotonic() - start)
    np.savez(f"{folder}/results{{seed}}.npz", **results)
answer = dict(dataclasses.asdict(session.status()), seconds=seconds,
              modules=[name for name in ("tvm", "onnx", "onnxruntime") if name in sys.modules])
"""


@dataclass(frozen=True)
class Answer:
    """What the fresh process told."""

    status: dict[str, Any]
    notices: list[str]

    @property
    def seconds(self) -> list[float]:
        """Time of each run."""
        return list(self.status["seconds"])


def run_deployed(script: Script, deployed: Deployed, options: str, **env: str) -> Answer:
    """Run in a fresh process; the outputs are ONNX Runtime's."""
    text = _PROGRAM.format(
        so=str(deployed.so), folder=deployed.folder, seeds=SEEDS, options=options
    )
    status, stderr = script(text, **env)
    for seed in SEEDS:
        with np.load(deployed.folder / f"results{seed}.npz") as results:
            assert_close(dict(results), deployed.network.expected(seed), f"seed {seed}")
    return Answer(status, re.findall("^hetcomp: .*", stderr, re.MULTILINE))


def test_artifact_carries_all_plans(deployed: Deployed) -> None:
    image = read_image(deployed.so)
    chosen, ladder = image.plans[:4], image.plans[4:]
    assert [plan.name for plan in chosen] == ["auto", "cpu", "gpu", "split"]
    assert all(plan.name.startswith(("auto-cpu-x", "auto-gpu-x")) for plan in ladder)
    assert {table.name for table in image.tables} == {plan.name for plan in image.plans}
    build = image.build
    assert "fastest of the measured plans" in build["auto"] or "CPU" in build["auto"]
    for candidate in build.get("candidates", ()):
        assert candidate["predicted_us"] > 0.0
        assert candidate["measured_us"] > 0.0
        assert candidate["ratio_to_best_single"] > 0.0


@pytest.mark.parametrize("plan", ["auto", "cpu"])
def test_runtime_alone(script: Script, deployed: Deployed, plan: str) -> None:
    answer = run_deployed(script, deployed, f"plan={plan!r}")
    assert answer.status["modules"] == []
    assert answer.status["plan"] == plan
    assert answer.notices == []


@pytest.mark.usefixtures("opencl")
def test_runtime_alone_on_both(script: Script, deployed: Deployed) -> None:
    answer = run_deployed(script, deployed, "plan='split'")
    assert answer.status["modules"] == []
    assert (answer.status["tier"], answer.status["fallbacks"]) == ("svm-ahead", 0)
    assert answer.status["gpu_steps"] > 0
    assert answer.notices == []


def assert_on_cpu_said_once(answer: Answer, why: str) -> None:
    assert (answer.status["tier"], answer.status["plan"]) == ("cpu", "cpu")
    assert answer.status["requested_plan"] == "split"
    assert why in answer.status["why_no_gpu"]
    assert len(answer.notices) == 1
    assert why in answer.notices[0]


def test_no_opencl_library(script: Script, deployed: Deployed) -> None:
    missing = "/nonexistent/libOpenCL.so.1"
    answer = run_deployed(script, deployed, "plan='split'", HETCOMP_OPENCL_LIBRARY=missing)
    assert_on_cpu_said_once(answer, missing)


def test_unusable_opencl_library(script: Script, deployed: Deployed, tmp_path: Path) -> None:
    """The system's names are looked for, and what is found is no library."""
    for name in ("libOpenCL.so.1", "libOpenCL.so"):
        (tmp_path / name).write_text("not a library")
    answer = run_deployed(script, deployed, "plan='split'", LD_LIBRARY_PATH=str(tmp_path))
    assert_on_cpu_said_once(answer, "libOpenCL.so")


@pytest.mark.usefixtures("opencl")
def test_opencl_loader_without_a_platform(
    script: Script, deployed: Deployed, tmp_path: Path
) -> None:
    (tmp_path / "vendors").mkdir()
    vendors = str(tmp_path / "vendors")
    answer = run_deployed(script, deployed, "plan='split'", OCL_ICD_VENDORS=vendors)
    assert_on_cpu_said_once(answer, "no OpenCL device")


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize("plan", ["split", "gpu"])
@pytest.mark.parametrize("fault", ["wedge", "enqueue"])
def test_broken_queue(script: Script, deployed: Deployed, plan: str, fault: str) -> None:
    """The first run finds the queue broken; it and the later ones are right, and in time."""
    options = f"plan={plan!r}, timeout_ms={1000 * TIMEOUT_S}, fault={fault!r}"
    answer = run_deployed(script, deployed, options)
    wedged = fault == "wedge"
    assert answer.seconds[0] < (TIMEOUT_S if wedged else 0.0) + SLACK_S
    assert max(answer.seconds[1:]) < SLACK_S
    status = answer.status
    assert (status["tier"], status["plan"], status["requested_plan"]) == ("cpu", "cpu", plan)
    assert (status["timeouts"], status["fallbacks"]) == (int(wedged), 1)
    assert status["device_bad"]
    assert len(answer.notices) == 1


@pytest.mark.usefixtures("opencl")
def test_device_is_proven_on_a_busy_machine(script: Script, networks: Networks) -> None:
    """Preemption while the device is tried out must not cost the device, nor fool calibration."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    text = f"""
    from hetcomp.runtime import load
    with load({str(networks("deepfm").so)!r}, plan="gpu") as session:
        status = session.status()
    answer = [status.tier, status.poll_ns]
    """
    try:
        answers = [script(text)[0] for _ in range(5)]
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert [tier for tier, _ in answers] == ["svm-ahead"] * 5
    assert max(poll_ns for _, poll_ns in answers) < 100.0


def test_tvm_door(script: Script, deployed: Deployed) -> None:
    status, _ = script(
        f"""
        import json
        import numpy as np, tvm
        module = tvm.runtime.load_module({str(deployed.so)!r})["hetcomp_open"]("{{}}")
        feeds = np.load("{deployed.folder}/feeds{SEEDS[0]}.npz")
        graph = json.loads(module["describe"]())["graph"]
        given, made = [[graph["tensors"][i] for i in graph[key]] for key in ("inputs", "outputs")]
        inputs = [tvm.runtime.tensor(feeds[item["name"]]) for item in given]
        outputs = [tvm.runtime.empty(item["shape"], item["dtype"]) for item in made]
        module["run"](*inputs, *outputs)
        arrays = dict(zip([item["name"] for item in made], [array.numpy() for array in outputs]))
        np.savez("{deployed.folder}/tvm.npz", **arrays)
        answer = json.loads(module["status"]())
        """
    )
    assert status["runs"] == 1
    with np.load(deployed.folder / "tvm.npz") as results:
        assert_close(dict(results), deployed.network.expected(SEEDS[0]), "TVM's door")


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_application(tmp_path_factory.mktemp("application"))


@pytest.mark.parametrize("plan", ["auto", "cpu", "split"])
def test_c_door(deployed: Deployed, application: Path, plan: str) -> None:
    image = read_image(deployed.so)
    feeds, expected = (deployed.network.feeds(SEEDS[0]), deployed.network.expected(SEEDS[0]))
    inputs = b"".join(feeds[image.graph.tensors[i].name] for i in image.graph.inputs)
    options = json.dumps({"plan": plan})
    lines, data = run_application(application, deployed.so, options, inputs)
    assert json.loads(lines[-1])["requested_plan"] == plan
    results = {}
    for index in image.graph.outputs:
        tensor = image.graph.tensors[index]
        part, data = data[: tensor.size_bytes], data[tensor.size_bytes :]
        results[tensor.name] = np.frombuffer(part, tensor.dtype).reshape(tensor.shape)
    assert not data
    assert_close(results, expected, "C door")


def cli(*arguments: str | Path) -> dict[str, Any]:
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.mark.usefixtures("opencl")
def test_plan_is_edited_and_replayed(deployed: Deployed, tmp_path: Path) -> None:
    """explain --plan-out, an editor, compile --plan, explain and run --validate."""
    onnx, file, again = deployed.network.onnx, tmp_path / "plan.json", tmp_path / "again.so"
    cli("explain", deployed.so, "--plan-out", file)
    plan, graph = read_plan(file), read_image(deployed.so).graph
    edited = []
    for index, (decision, task) in enumerate(zip(plan.decisions, graph.tasks, strict=True)):
        if index % 2 or not graph.kernels[task.kernel].opencl:
            edited.append(Decision(decision.task, Place.CPU, reason="mine"))
        else:
            edited.append(Decision(decision.task, Place.GPU, reason="mine"))
    write_plan(file, replace(plan, name="mine", decisions=tuple(edited)))
    compiled = cli("compile", onnx, "-o", again, "--plan", file)
    wanted = {place: sum(d.place.value == place for d in edited) for place in ("cpu", "gpu")}
    assert compiled["places"] == wanted
    explained = cli("explain", again)
    assert explained["plan"] == "mine"
    assert [task["processor"] for task in explained["tasks"]] == [d.place.value for d in edited]
    assert {task["reason"] for task in explained["tasks"]} == {"mine"}
    ran = cli("run", again, "--validate", onnx)
    assert ran["validate"]["ok"]
    assert (ran["status"]["plan"], ran["status"]["tier"]) == ("mine", "svm-ahead")
