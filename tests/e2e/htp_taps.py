"""Networks whose quantised tensors are outputs, so that a driver is seen layer by layer.

`python tests/e2e/htp_taps.py resnet50 --size 224 --soc SM8650` compiles such a network for driver
`htp`, runs it in a fresh process on Qualcomm's emulator, and compares every layer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import hetcomp
from hetcomp.bench import zoo
from hetcomp.codegen.lower import lower_tasks
from hetcomp.frontend import import_onnx
from hetcomp.npu.htp import HtpTasks
from hetcomp.options import CompileOptions
from hetcomp.pipeline import fusion_pipeline
from hetcomp.plan.plan import Decision, Place
from hetcomp.plan.regions import npu_steps
from hetcomp.plan.table import NpuStep
from hetcomp.targets import find_target

Array = np.ndarray[Any, Any]


def tapped(name: str, **size: Any) -> onnx.ModelProto:
    """A network of the zoo in QDQ form with what each `QuantizeLinear` makes as an output."""
    model = zoo.build(name, qdq=True, **size)
    shapes = {info.name: info for info in onnx.shape_inference.infer_shapes(model).graph.value_info}
    constants = {item.name for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants:
            dims = [d.dim_value for d in shapes[node.output[0]].type.tensor_type.shape.dim]
            info = helper.make_tensor_value_info(node.output[0], TensorProto.UINT8, dims)
            model.graph.output.append(info)
    return model


def htp_tasks(model: onnx.ModelProto) -> HtpTasks:
    """The tasks as `compile` makes them."""
    imported = import_onnx(model)
    module = fusion_pipeline()(imported.mod)
    found = lower_tasks(imported, module, find_target("host").cpu, gpu=False, npu=True)
    return HtpTasks.of(found.graph, found.operators, found.constant)


def quantised_input(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> Array:
    """The bytes that the network's first `QuantizeLinear` makes of its input, NHWC."""
    node = next(n for n in model.graph.node if n.op_type == "QuantizeLinear")
    parameters = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    scale, zero = (parameters[name] for name in node.input[1:])
    moved = np.rint(feeds[node.input[0]] / scale) + zero.astype(np.float32)
    return np.clip(moved, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def tensors_of(tasks: HtpTasks, outputs: Mapping[str, Array], first: Array) -> dict[int, Array]:
    """What tensors hold as they lie in memory, by index; `first` is the quantised input."""
    graph, found = tasks.graph, dict[int, Array]()
    makers = {task.outputs[0]: task for task in graph.tasks}
    for index in graph.outputs:
        array, tensor = outputs[graph.tensors[index].name], graph.tensors[index]
        if array.dtype != np.uint8:
            continue
        if array.ndim == 4:  # an output is NCHW: a view or a copy of what lies in memory
            index = makers[index].inputs[0] if tensor.alias_of is None else tensor.alias_of
            array = array.transpose(0, 2, 3, 1)
        if graph.tensors[index].shape == array.shape:
            found[index] = array
    for index, task in enumerate(graph.tasks):
        if index in tasks.layers and task.inputs[0] not in found:
            found[task.inputs[0]] = _filled(first, graph.tensors[task.inputs[0]].shape)
            break
    return found


def _filled(array: Array, shape: tuple[int, ...]) -> Array:
    """With more channels, whose weights are 0."""
    missing = shape[-1] - array.shape[-1]
    assert array.shape[:-1] == shape[:-1]
    assert missing >= 0
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])


def worst_distances(tasks: HtpTasks, tensors: Mapping[int, Array]) -> dict[str, int]:
    """By task, quanta between what a driver made of its inputs and what ONNX Runtime makes of them.

    Tasks of which an input or output is not known are left out.
    """
    found = {}
    for step in single_steps(tasks):
        if not {*step.inputs, *step.outputs} <= tensors.keys():
            continue
        model = tasks.model(step)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        names = [port.name for port in model.graph.input]
        feeds = {name: tensors[i] for name, i in zip(names, step.inputs, strict=True)}
        (expected,) = session.run(None, feeds)
        distance = np.abs(expected.astype(int) - tensors[step.outputs[0]].astype(int))
        found[tasks.graph.tasks[step.tasks[0]].name] = int(distance.max())
    return found


def single_steps(tasks: HtpTasks) -> Iterator[NpuStep]:
    """Each task that the driver takes as a region of its own."""
    for index in tasks.layers:
        task = tasks.graph.tasks[index]
        alone = {
            other.name: Decision(other.name, Place.NPU if other is task else Place.CPU)
            for other in tasks.graph.tasks
        }
        yield from npu_steps(tasks.graph, alone)


APART = """
import json, sys, time
import numpy, hetcomp
folder = sys.argv[1]
feeds = dict(numpy.load(f"{folder}/in.npz"))
begin = time.perf_counter()
with hetcomp.load(f"{folder}/model.so", timeout_ms=300000) as session:
    opened = time.perf_counter()
    numpy.savez(f"{folder}/out.npz", **session.run(feeds))
    ran = time.perf_counter()
    status = session.status()
answer = [status.npu, status.why_no_npu, status.npu_fallbacks, "onnxruntime" in sys.modules]
print(json.dumps([answer, opened - begin, ran - opened]))
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a network in a process of its own: outputs, driver, times."""

    outputs: dict[str, Array]
    driver: str
    why_not: str
    fallbacks: int
    imported_onnxruntime: bool
    open_s: float
    run_s: float


def run_apart(folder: Path, feeds: Mapping[str, Array]) -> Outcome:
    """Run `model.so` of a folder."""
    np.savez(folder / "in.npz", **feeds)  # type: ignore[arg-type]
    done = subprocess.run(
        [sys.executable, "-c", APART, str(folder)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    answer, open_s, run_s = json.loads(done.stdout.splitlines()[-1])
    return Outcome(dict(np.load(folder / "out.npz")), *answer, open_s, run_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--soc", default="SM8650")
    arguments = parser.parse_args()
    model = tapped(arguments.network, size=arguments.size)
    feeds, tasks = zoo.random_inputs(model), htp_tasks(model)
    with tempfile.TemporaryDirectory() as name:
        options = CompileOptions(plan="npu", gpu=False, npu_driver="htp", soc=arguments.soc)
        begin = time.perf_counter()
        hetcomp.compile(model, output=Path(name) / "model.so", options=options)
        compile_s = time.perf_counter() - begin
        size = (Path(name) / "model.so").stat().st_size
        found = run_apart(Path(name), feeds)
    tensors = tensors_of(tasks, found.outputs, quantised_input(model, feeds))
    distances = worst_distances(tasks, tensors)
    print(
        f"{arguments.network} at {arguments.size}, {arguments.soc}: driver {found.driver}, "
        f"{len(tasks.layers)} of {len(tasks.graph.tasks)} tasks, {size / 2**20:.1f} MiB; "
        f"compile {compile_s:.1f} s, open {found.open_s:.2f} s, run {found.run_s:.2f} s; "
        f"{len(distances)} layers compared, at most {max(distances.values())} quantum apart"
    )


if __name__ == "__main__":
    main()
