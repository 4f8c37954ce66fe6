"""SqueezeNet at its own size for an ARM device: what is copied there, and how soon it answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
from arm_machine import EMULATOR, TRIPLE, ArmMachine, needs_everything, require_arm
from networks import assert_close

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import reference_outputs
from hetcomp.codegen.deploy import deploy_model
from hetcomp.options import CompileOptions

LIMIT_BYTES = 8_000_000
SEED = 5


@needs_everything
def test_squeezenet(tmp_path: Path) -> None:
    require_arm()
    model, so = zoo.build("squeezenet"), tmp_path / "squeezenet.so"
    onnx.save(model, tmp_path / "squeezenet.onnx")
    hetcomp.compile(model, output=so, target=f"{TRIPLE},cpu=cortex-a76")
    deployment = deploy_model(so, tmp_path / "device")
    assert deployment.size_bytes <= LIMIT_BYTES, {f: f.stat().st_size for f in deployment.files}
    feeds = zoo.random_inputs(model, SEED)
    machine = ArmMachine(tmp_path, libraries=tmp_path / "device", timeout_s=120.0)
    ran = machine.infer(deployment.files[0], feeds)
    print(f"{deployment.size_bytes} bytes; first answer under the emulator in {ran.seconds:.2f} s")
    assert_close(
        ran.outputs, reference_outputs(tmp_path / "squeezenet.onnx", feeds), "deployed on ARM"
    )


@needs_everything
def test_static_program(tmp_path: Path) -> None:
    """It runs with none of the machine's libraries."""
    require_arm()
    model, program = zoo.build("squeezenet", size=64), tmp_path / "squeezenet"
    onnx.save(model, tmp_path / "squeezenet.onnx")
    options = CompileOptions(form="static")
    hetcomp.compile(model, output=program, target=f"{TRIPLE},cpu=cortex-a76", options=options)
    feeds = zoo.random_inputs(model, SEED)
    np.savez(tmp_path / "feeds.npz", **feeds)
    command = [EMULATOR, "-cpu", "cortex-a76", program, "--bench", "1"]
    command += ["--input", tmp_path / "feeds.npz", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0)
    assert done.returncode == 0, done.stderr
    print(f"{program.stat().st_size} bytes; under the emulator: {done.stdout.splitlines()[-3]}")
    expected = reference_outputs(tmp_path / "squeezenet.onnx", feeds)
    results = {name: np.load(tmp_path / f"{name}.npy") for name in expected}
    assert_close(results, expected, "static on ARM")
