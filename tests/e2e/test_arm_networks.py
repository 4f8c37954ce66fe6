"""Zoo networks compiled here for an ARM CPU, run by its emulator: what x86 computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from arm_machine import TRIPLE, ArmMachine, needs_everything, require_arm
from networks import Arrays, assert_close, assert_same

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.zoo.quantize import quantize
from hetcomp.options import CompileOptions
from hetcomp.runtime import load, read_image

TOLERANCE = 1e-5
"""Relative to the largest value: both add the same float32 products in another order."""
BF16_TOLERANCE = 1.3e-2
"""What networks were found to lose, see schedules/README.md."""
SEED = 11
OPEN = Path(__file__).parents[1] / "support" / "open.c"
FLOAT32 = {
    "squeezenet": {"size": 32},
    "mobilenetv2": {"size": 32},
    "shufflenetv2": {"size": 64},
    "resnet18": {"size": 32, "width": 0.25},
    "bert_tiny": {"size": 16},
    "deepfm": {},
}
QDQ = {"mobilenetv2": {"size": 32}, "resnet18": {"size": 32, "width": 0.25}}
CPUS = ("cortex-a53", "cortex-a76")
"""Without and with products of bytes."""
ON_BOTH = ("squeezenet", "bert_tiny", "mobilenetv2")


def some(names: Any, first: str) -> list[Any]:
    """All of `names`, of which CI runs the first."""
    return [pytest.param(name, marks=() if name == first else needs_everything) for name in names]


def on_x86(model: onnx.ModelProto, feeds: Arrays, folder: Path) -> Arrays:
    so = folder / "x86.so"
    hetcomp.compile(model, output=so, options=CompileOptions(plan="cpu", gpu=False))
    with load(so, plan="cpu") as session:
        return dict(session.run(feeds))


def for_arm(model: onnx.ModelProto, folder: Path, cpu: str, plan: str = "cpu") -> Path:
    so = folder / "arm.so"
    options = CompileOptions(plan=plan, gpu=plan != "cpu")
    hetcomp.compile(model, output=so, target=f"{TRIPLE},cpu={cpu},gpu=cpu", options=options)
    return so


@pytest.fixture(scope="module", autouse=True)
def arm() -> None:
    require_arm()


@pytest.mark.parametrize("name", some(FLOAT32, "squeezenet"))
def test_float32(name: str, tmp_path: Path) -> None:
    model = zoo.build(name, **FLOAT32[name])
    feeds = zoo.random_inputs(model, SEED)
    ran = ArmMachine(tmp_path).infer(for_arm(model, tmp_path, "cortex-a76"), feeds)
    assert_close(ran.outputs, on_x86(model, feeds, tmp_path), name, TOLERANCE)


@pytest.mark.parametrize("cpu", some(CPUS, "cortex-a76"))
@pytest.mark.parametrize("name", some(QDQ, "mobilenetv2"))
def test_integers(name: str, cpu: str, tmp_path: Path) -> None:
    model = quantize(zoo.build(name, **QDQ[name]))
    feeds = zoo.random_inputs(model, SEED)
    ran = ArmMachine(tmp_path, cpu).infer(for_arm(model, tmp_path, cpu), feeds)
    assert_same(ran.outputs, on_x86(model, feeds, tmp_path))


@needs_everything
@pytest.mark.parametrize("name", ON_BOTH)
def test_on_both(name: str, tmp_path: Path) -> None:
    """CPU and OpenCL, which is PoCL, wait for each other in shared memory."""
    model = zoo.build(name, **FLOAT32[name])
    feeds = zoo.random_inputs(model, SEED)
    so = for_arm(model, tmp_path, "cortex-a76", "split")
    expected = on_x86(model, feeds, tmp_path)
    machine = ArmMachine(tmp_path, opencl=True, timeout_s=400.0)
    for plan in ("gpu", "split"):
        ran = machine.infer(so, feeds, plan=plan, timeout_ms=60000.0)
        assert (ran.status["plan"], ran.status["tier"]) == (plan, "svm-ahead")
        assert (ran.status["timeouts"], ran.status["fallbacks"]) == (0, 0)
        assert ran.status["gpu_steps"] > 0
        assert_close(ran.outputs, expected, plan, TOLERANCE)


@pytest.mark.parametrize(
    ("name", "target", "machines"),
    [
        (
            "deepfm",
            f"{TRIPLE},cpu=cortex-a76+cortex-a53",
            {"cortex-a53": "aarch64 cortex-a53", "neoverse-n1": "aarch64 cortex-a76"},
        ),
        pytest.param(
            "mobilenetv2",
            TRIPLE,
            {"cortex-a53": "aarch64 neon", "neoverse-n1": "aarch64 neon-dotprod",
             "max": "aarch64 neon-bf16-i8mm"},
            marks=needs_everything,
        ),
    ],
)  # fmt: skip
def test_one_file_for_several_cpus(
    name: str, target: str, machines: dict[str, str], tmp_path: Path
) -> None:
    """Each runs the kernels for its instructions; integers are equal to the last bit."""
    model = quantize(zoo.build(name, **QDQ.get(name, {})))
    feeds, so = zoo.random_inputs(model, SEED), tmp_path / "arm.so"
    hetcomp.compile(model, output=so, target=target, options=CompileOptions(plan="cpu", gpu=False))
    expected = on_x86(model, feeds, tmp_path)
    for cpu, version in machines.items():
        ran = ArmMachine(tmp_path, cpu).infer(so, feeds)
        assert ran.status["cpu_version"] == version
        for output, array in expected.items():
            np.testing.assert_array_equal(ran.outputs[output], array)


def test_a_model_without_kernels_for_several_cpus(tmp_path: Path) -> None:
    """Its output is its input; it opens all the same."""
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3]) for name in "xy"
    )
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y]
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    so, options = tmp_path / "arm.so", CompileOptions(plan="cpu", gpu=False)
    hetcomp.compile(model, output=so, target=TRIPLE, options=options)
    assert not read_image(so).graph.kernels
    machine = ArmMachine(tmp_path, "cortex-a53")
    done = machine.run([machine.build(OPEN), so])
    assert done.returncode == 0, done.stderr


@needs_everything
def test_bf16(tmp_path: Path) -> None:
    """Products of bfloat16, and numbers that are widened, in one file."""
    model, so = zoo.build("bert_tiny", **FLOAT32["bert_tiny"]), tmp_path / "arm.so"
    feeds = zoo.random_inputs(model, SEED)
    options = CompileOptions(plan="cpu", gpu=False, precision="bf16")
    hetcomp.compile(model, output=so, target=TRIPLE, options=options)
    expected = on_x86(model, feeds, tmp_path)
    for cpu, version in (("cortex-a53", "aarch64 neon"), ("max", "aarch64 neon-bf16-i8mm")):
        ran = ArmMachine(tmp_path, cpu).infer(so, feeds)
        assert ran.status["cpu_version"] == version
        assert_close(ran.outputs, expected, cpu, BF16_TOLERANCE)


def test_another_cpu_is_refused(tmp_path: Path) -> None:
    """An instruction that the CPU lacks would end the process: the model is not opened."""
    so = for_arm(zoo.build("deepfm"), tmp_path, "cortex-a76")
    for cpu, status in (("cortex-a76", 0), ("cortex-a53", 1)):
        machine = ArmMachine(tmp_path, cpu)
        done = machine.run([machine.build(OPEN), so])
        assert (cpu, done.returncode) == (cpu, status), done.stderr
        assert ("this one lacks" in done.stderr) == bool(status)
        assert all((name in done.stderr) == bool(status) for name in ("asimddp", "asimdhp"))
