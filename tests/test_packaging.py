"""The wheel: its one top-level name, nothing forgotten, and the versions that work together."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAPPED = {"hetcomp": "hetcomp", "passes": "hetcomp/passes", "schedules": "hetcomp/schedules"}
"""Folders of Python sources and where the wheel puts them."""

PINS = {"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.14.post1"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy: a folder `build` of earlier builds must not leak into it."""
    source, output = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    for folder in (*MAPPED, "runtime_patches"):
        shutil.copytree(
            ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, "-w", str(output), str(source)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    (path,) = output.glob("*.whl")
    assert path.name.endswith("-py3-none-any.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def names(wheel: zipfile.ZipFile) -> set[str]:
    return set(wheel.namelist())


@pytest.fixture(scope="module")
def info_folder(names: set[str]) -> str:
    (folder,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    return folder


def test_one_top_level_name(names: set[str], info_folder: str) -> None:
    assert {name.split("/")[0] for name in names} == {"hetcomp", info_folder}


def test_every_python_source_is_shipped(names: set[str]) -> None:
    expected = {
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, place in MAPPED.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == expected


def test_runtime_sources_are_shipped(names: set[str]) -> None:
    expected = {
        f"hetcomp/runtime_patches/{path.relative_to(ROOT / 'runtime_patches').as_posix()}"
        for path in (ROOT / "runtime_patches").rglob("*")
        if path.is_file()
    }
    assert expected >= {
        "hetcomp/runtime_patches/include/hetcomp.h",
        "hetcomp/runtime_patches/src/session/session.cc",
    }
    assert {name for name in names if name.startswith("hetcomp/runtime_patches/")} == expected


def test_named_targets_are_shipped(names: set[str]) -> None:
    folder = "hetcomp/targets/socs"
    expected = {f"{folder}/{path.name}" for path in (ROOT / folder).glob("*.toml")}
    assert len(expected) > 5
    assert {name for name in names if name.endswith(".toml")} == expected


def test_types_and_licence_are_shipped(names: set[str], info_folder: str) -> None:
    assert "hetcomp/py.typed" in names
    assert f"{info_folder}/licenses/LICENSE" in names


def test_requirements(wheel: zipfile.ZipFile, info_folder: str) -> None:
    metadata = message_from_string(wheel.read(f"{info_folder}/METADATA").decode())
    required = metadata.get_all("Requires-Dist", [])
    assert {f"{name}=={version}" for name, version in PINS.items()} <= set(required)
    names = {re.split(r"[^\w.-]", text.lower())[0] for text in required}
    assert not names & {"xgboost", "torch"}  # both come with CUDA
    assert metadata["Requires-Python"] == ">=3.10"


@pytest.mark.parametrize(("name", "version"), PINS.items())
def test_pinned_versions_are_installed(name: str, version: str) -> None:
    assert importlib.metadata.version(name) == version


def test_save_json_works() -> None:
    """A newer tvm_ffi makes it crash; hence the pins, and a process of its own."""
    code = (
        "import tvm; from tvm import te\n"
        "x = te.placeholder((4,), name='x')\n"
        "y = te.compute((4,), lambda i: x[i] + 1.0)\n"
        "function = te.create_prim_func([x, y])\n"
        "copy = tvm.ir.load_json(tvm.ir.save_json(function))\n"
        "tvm.ir.assert_structural_equal(copy, function)\n"
        "print('equal')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600.0
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
    assert done.stdout.strip() == "equal"
