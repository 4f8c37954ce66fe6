"""Models as programs: their command line, and what they need of the system."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from networks import Arrays, assert_close

import hetcomp
from hetcomp.bench import zoo
from hetcomp.bench.reference import reference_outputs
from hetcomp.codegen.deploy import deploy_model
from hetcomp.errors import ArtifactError, InputError
from hetcomp.options import CompileOptions
from hetcomp.runtime import load, read_image
from hetcomp.runtime.elf import needed_libraries

SEED = 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an ONNX file of two inputs, of two element types, and inputs for it."""
    folder = tmp_path_factory.mktemp("programs")
    model = zoo.build("bert_tiny", **zoo.small_size("bert_tiny"))
    onnx.save(model, folder / "model.onnx")
    np.savez(folder / "feeds.npz", **zoo.random_inputs(model, SEED))
    return folder


@pytest.fixture(scope="module", params=["program", "static"])
def program(request: pytest.FixtureRequest, folder: Path) -> Path:
    output = folder / str(request.param)
    plan = "split" if request.param == "program" else "auto"
    options = CompileOptions(plan=plan, form=request.param)
    hetcomp.compile(folder / "model.onnx", output=output, options=options)
    return output


def run(*command: str | Path, status: int = 0) -> str:
    """What it prints; of a failure, its error."""
    env = {name: text for name, text in os.environ.items() if name != "LD_LIBRARY_PATH"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0, env=env)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def feeds_of(folder: Path) -> Arrays:
    with np.load(folder / "feeds.npz") as feeds:
        return dict(feeds)


def assert_right(folder: Path, made: Path) -> None:
    expected = reference_outputs(folder / "model.onnx", feeds_of(folder))
    results = {name: np.load(made / f"{name.replace('/', '_')}.npy") for name in expected}
    assert_close(results, expected, str(made))


def test_needs(program: Path) -> None:
    needed = {name for name in needed_libraries(program) if not name.startswith("ld-linux")}
    assert needed == (set() if program.name == "static" else {"libc.so.6", "libm.so.6"})
    headers = subprocess.run(
        ["readelf", "-lW", program], capture_output=True, text=True, timeout=120.0
    ).stdout
    assert ("INTERP" in headers) == (program.name == "program")


def test_archive(program: Path, folder: Path, tmp_path: Path) -> None:
    run(program, "--input", folder / "feeds.npz", "--output", tmp_path / "out")
    assert_right(folder, tmp_path / "out")


def test_single_files(program: Path, folder: Path, tmp_path: Path) -> None:
    """One as .npy, one as bytes; --plan takes another one of the file's."""
    (first, second), feeds = feeds_of(folder), feeds_of(folder)
    np.save(tmp_path / "first.npy", feeds[first])
    (tmp_path / "second.bin").write_bytes(feeds[second].tobytes())
    given = ["--input", f"{first}={tmp_path}/first.npy"]
    given += ["--input", f"{second}={tmp_path}/second.bin"]
    printed = run(program, *given, "--plan", "cpu", "--output", tmp_path)
    assert re.search(r"^output \S+: float32 \[", printed, re.MULTILINE)
    assert_right(folder, tmp_path)


def test_bench(program: Path) -> None:
    *_, opened, times, status = run(program, "--bench", "5").splitlines()
    assert re.fullmatch(r"opened in [\d.]+ ms, first inference [\d.]+ ms", opened)
    assert re.fullmatch(r"5 inferences: median [\d.]+ ms, [\d.]+ to [\d.]+", times)
    assert json.loads(status)["runs"] == 6


def test_stripped(program: Path, folder: Path, tmp_path: Path) -> None:
    done = deploy_model(program, tmp_path / "device")
    (copy,) = done.files
    assert copy.stat().st_size < program.stat().st_size
    assert read_image(copy).graph.name == read_image(program).graph.name
    run(copy, "--input", folder / "feeds.npz", "--output", tmp_path)
    assert_right(folder, tmp_path)


def test_programs_are_no_libraries(program: Path) -> None:
    with pytest.raises(ArtifactError, match="is a program: run it"):
        load(program)


@pytest.mark.parametrize("program", ["static"], indirect=True)  # of the same objects
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "input '.*' is not given"),
        (["--input", "{wrong}"], "'.*wrong.npz: .*' has .*'<f8'.*, input '.*' is .*"),
        (["--input", "{packed}"], "'.*packed.npz' is compressed; write it by numpy.savez"),
        (["--input", "{cut}"], "'.*cut.npz' is no .npz archive"),
        (["--input", "{absent}"], "'.*absent.npz' cannot be read"),
        (["--bench", "1", "--input", "nobody=f"], "there is no input 'nobody'"),
        (["--options", '{{"plan": 1}}'], "plan"),
    ],
)
def test_bad_files(
    program: Path, folder: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    feeds = feeds_of(folder)
    files = {name: tmp_path / f"{name}.npz" for name in ("wrong", "packed", "cut", "absent")}
    np.savez(files["wrong"], **{name: np.zeros(2) for name in feeds})
    np.savez_compressed(files["packed"], **feeds)
    files["cut"].write_bytes((folder / "feeds.npz").read_bytes()[:-100])
    error = run(program, *[text.format(**files) for text in arguments], status=1)
    assert re.search(f"^error: .*{message}", error)


@pytest.mark.parametrize("arguments", [["--foo"], ["--bench"], ["--bench", "0"], ["--plan", '"']])
def test_bad_arguments(program: Path, arguments: list[str]) -> None:
    assert "usage: " in run(program, *arguments, status=2)


def test_static_programs_load_no_drivers() -> None:
    settings: list[dict[str, Any]] = [{"plan": "split"}, {"profile": "device.json"}]
    for setting in settings:
        with pytest.raises(InputError, match="a static program"):
            CompileOptions(form="static", **setting)
