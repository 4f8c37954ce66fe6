"""What `deploy` makes is all that a device needs: a model.so and a small libtvm_ffi.so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fresh_process import build_application
from networks import Networks, assert_close
from tvm_ffi import libinfo

from hetcomp.cli import main
from hetcomp.codegen.deploy import Deployment, deploy_model
from hetcomp.errors import InputError
from hetcomp.runtime import load, read_image
from hetcomp.runtime.sizes import file_sizes

SEED = 5
OF_A_LINUX_SYSTEM = {"libc.so.6", "libgcc_s.so.1", "libm.so.6", "libstdc++.so.6"}
LOADER = "ld-linux"


@pytest.fixture(scope="module")
def model(networks: Networks) -> Path:
    return networks("squeezenet").so


@pytest.fixture(scope="module")
def deployment(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return deploy_model(model, tmp_path_factory.mktemp("deployed"))


def test_nothing_else_is_needed(deployment: Deployment) -> None:
    """Above all no libtvm_runtime.so, and nothing that libtvm_ffi.so itself would want."""
    so, ffi = deployment.files
    assert (so.name, ffi.name) == ("squeezenet.so", "libtvm_ffi.so")
    for file in deployment.files:
        needed = {n for n in needed_by(file) if not n.startswith(LOADER)}
        assert needed - {"libtvm_ffi.so"} <= OF_A_LINUX_SYSTEM
    assert "libtvm_ffi.so" in needed_by(so)


def needed_by(file: Path) -> tuple[str, ...]:
    """Libraries as binutils sees them, which has its own reader."""
    done = subprocess.run(
        ["readelf", "-dW", file], capture_output=True, text=True, check=True, timeout=120.0
    )
    lines = [line for line in done.stdout.splitlines() if "(NEEDED)" in line]
    return tuple(line.split("[")[1].rstrip("]") for line in lines)


def test_c_program_with_these_files_alone(deployment: Deployment, networks: Networks) -> None:
    network, folder = networks("squeezenet"), deployment.files[0].parent
    program = build_application(folder)
    graph = read_image(deployment.files[0]).graph
    feeds = network.feeds(SEED)
    given, made = folder / "in", folder / "out"
    given.write_bytes(b"".join(feeds[graph.tensors[i].name] for i in graph.inputs))
    command = [program, deployment.files[0], json.dumps({"plan": "cpu"}), given, made]
    env = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0, env=env)
    assert done.returncode == 0, done.stderr
    (output,) = (graph.tensors[i] for i in graph.outputs)
    result = np.frombuffer(made.read_bytes(), output.dtype).reshape(output.shape)
    assert_close({output.name: result}, network.expected(SEED), "deployed")


def test_python_takes_the_stripped_file(deployment: Deployment, networks: Networks) -> None:
    """Its checksum is that of what was left."""
    with load(deployment.files[0], plan="cpu", quiet=True) as session:
        networks("squeezenet").assert_right(session, SEED)


def test_sizes_add_up(model: Path, deployment: Deployment) -> None:
    sizes, image = file_sizes(model), read_image(model)
    assert sizes.kernels is not None
    assert sizes.weights == image.graph.constants_bytes
    parts = (sizes.weights, sizes.kernels, sizes.opencl_source, sizes.description)
    assert sum(parts) + sizes.runtime + sizes.symbols == sizes.total == model.stat().st_size
    assert 4e5 < sizes.runtime < 1.5e6
    stripped = deployment.files[0].stat().st_size
    assert stripped == pytest.approx(sizes.stripped, abs=20_000)
    assert file_sizes(deployment.files[0]).symbols < 1000


def test_small_library_has_a_third(deployment: Deployment) -> None:
    published = Path(libinfo.find_libtvm_ffi()).stat().st_size
    assert deployment.files[1].stat().st_size < 0.4 * published


def test_commands_say_sizes(model: Path, tmp_path: Path) -> None:
    def said(*arguments: str | Path) -> str:
        result = CliRunner().invoke(main, list(map(str, arguments)))
        assert result.exit_code == 0, result.output
        return result.stdout

    sizes = json.loads(said("explain", model, "--json"))["sizes"]
    assert sizes["total"] == model.stat().st_size
    assert sizes["libtvm_ffi"] == Path(libinfo.find_libtvm_ffi()).stat().st_size
    assert "to deploy: " in said("explain", model)
    done = json.loads(said("deploy", model, "-o", tmp_path / "out", "--published", "--json"))
    assert done["files"]["libtvm_ffi.so"] == sizes["libtvm_ffi"]
    assert done["size_bytes"] == sum(done["files"].values())


def test_not_onto_itself(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.so"
    shutil.copyfile(model, copy)
    with pytest.raises(InputError, match="give another folder"):
        deploy_model(copy, tmp_path)
