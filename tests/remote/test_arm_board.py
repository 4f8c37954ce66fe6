"""A board with an ARM CPU, which an emulator plays: compiled for, timed and tuned from here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from arm_machine import EMULATOR, LIBRARIES, TRIPLE, ArmMachine, needs_everything
from board import Board, once_it_serves

import hetcomp
from hetcomp.bench import zoo
from hetcomp.codegen.rpc_server import build_rpc_server
from hetcomp.devices import describe_board
from hetcomp.machine import Machine
from hetcomp.options import CompileOptions
from hetcomp.profile.batch import layers_of
from hetcomp.profile.build import Job, building
from hetcomp.profile.kernels import KernelOptions
from hetcomp.profile.measurer import Measurer
from hetcomp.profile.sampler import Sampler
from hetcomp.remote import Remote
from hetcomp.runtime import read_image
from hetcomp.tuning import TuneOptions, tune

pytestmark = needs_everything


@pytest.fixture(scope="module")
def arm_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rpc_server(tmp_path_factory.mktemp("rpc-arm"), triple=TRIPLE)[0]


@pytest.fixture
def arm_board(arm_program: Path, tmp_path: Path) -> Iterator[Board]:
    emulator = (EMULATOR, "-cpu", "cortex-a76", "-L", str(LIBRARIES))
    with Board(arm_program, tmp_path, emulator=emulator) as found:
        yield found


def test_it_is_known_by_its_cpu(arm_board: Board) -> None:
    cpu, *_ = describe_board(Remote.parse(arm_board.rpc))
    assert cpu.cpu is not None
    assert cpu.cpu.machine == "aarch64"
    assert {"asimd", "asimdhp", "asimddp"} <= set(cpu.cpu.features)
    assert "i8mm" not in cpu.cpu.features


def test_a_network_is_compiled_for_it_and_verified(arm_board: Board, tmp_path: Path) -> None:
    model = zoo.build("squeezenet", size=32)
    options = CompileOptions(rpc=arm_board.rpc, gpu=False, measure_seconds=1.0, use_cache=False)
    path = hetcomp.compile(model, output=tmp_path / "m.so", options=options).path
    assert read_image(path).target.startswith("aarch64 neon-dot")
    feeds = zoo.random_inputs(model)
    reference = onnxruntime.InferenceSession(model.SerializeToString())
    expected = reference.run(None, dict(feeds))
    with Machine.parse(arm_board.rpc).open(path) as session:
        found = session.run(feeds)
    for value, output in zip(expected, found.values(), strict=True):
        np.testing.assert_allclose(output, value, rtol=1e-4, atol=1e-5)


def product(rows: int) -> onnx.ModelProto:
    """A network of two kernels."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[{rows},48] x) => (float[{rows},64] y) '
        "{ h = MatMul(x, w) y = Softmax(h) }"
    )
    weights = np.random.default_rng(0).standard_normal((48, 64)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    return model


def test_plans_with_its_opencl_device_are_verified(arm_program: Path, tmp_path: Path) -> None:
    """PoCL, under the emulator too."""
    machine, model = ArmMachine(tmp_path, opencl=True), product(160)
    feeds = zoo.random_inputs(model)
    reference = onnxruntime.InferenceSession(model.SerializeToString())
    (expected,) = reference.run(None, dict(feeds))
    emulator, environment = machine.emulator(), machine.environment()
    with Board(arm_program, tmp_path, emulator=emulator, environment=environment) as board:
        options = CompileOptions(rpc=board.rpc, plan="split", use_cache=False)
        path = hetcomp.compile(model, output=tmp_path / "m.so", options=options).path
        assert read_image(path).target.startswith("aarch64 neon-dot")
        with Machine.parse(board.rpc).open(path, timeout_ms=60000.0) as session:
            for plan, tier in (("split", "svm-ahead"), ("gpu", "svm-ahead"), ("cpu", "cpu")):
                session.use_plan(plan)
                found = session.run(feeds)
                status = session.status()
                assert (status.plan, status.tier) == (plan, tier)
                assert (status.timeouts, status.fallbacks) == (0, 0)
                assert bool(status.cpu_steps) == (plan != "gpu")
                np.testing.assert_allclose(found["y"], expected, rtol=1e-4, atol=1e-6)


def test_its_kernels_are_profiled_though_it_goes_away(arm_board: Board) -> None:
    layers = layers_of(Sampler(0).next(3))
    with building(1) as submit:
        build = submit(Job(0, layers, 0, False, False, rpc=arm_board.rpc)).result()
        with (
            Measurer(None, KernelOptions(), Machine.parse(arm_board.rpc)) as measurer,
            once_it_serves(arm_board, arm_board.restart, after_s=0.3),
        ):
            visit = measurer.visit(build)
    assert arm_board.starts == 2
    assert all((turns.times_us > 0.0).any() for turns in visit)


def test_kernels_are_tuned_for_it(arm_board: Board, tmp_path: Path) -> None:
    model = product(60)
    options = TuneOptions(trials=3, remote=arm_board.rpc, device="cpu")
    report = tune(model, database=tmp_path / "db.jsonl", options=options)
    (result,) = report.tasks
    assert (result.trials, result.failures) == (3, 0)
    assert "aarch64" in report.device
