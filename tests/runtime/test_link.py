"""Linking: whole or not at all, with errors that say what to do."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standin

from hetcomp.codegen import toolchain
from hetcomp.codegen.image import write_image
from hetcomp.codegen.link import link_model
from hetcomp.codegen.toolchain import Toolchain, find_toolchain, runtime_objects
from hetcomp.errors import InternalError, ToolchainError
from hetcomp.runtime import load


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    tables = standin.tables()
    plans = [standin.plan_of(table) for table in tables]
    write_image(path, standin.graph(), plans, tables, "", standin.constants(), {})
    return path


def test_undefined_kernel(tmp_path: Path, image: Path) -> None:
    output = tmp_path / "model.so"
    with pytest.raises(ToolchainError, match="__tvm_ffi_bias"):
        link_model([], standin.own_symbols(standin.graph()), image, output)
    assert [path.name for path in tmp_path.iterdir()] == ["image.bin"]


def test_existing_file_survives_a_failure(tmp_path: Path, image: Path) -> None:
    output = tmp_path / "model.so"
    output.write_bytes(b"old")
    with pytest.raises(ToolchainError):
        link_model([tmp_path / "absent.o"], standin.own_symbols(standin.graph()), image, output)
    assert output.read_bytes() == b"old"


def test_another_number_of_versions(tmp_path: Path, image: Path) -> None:
    with pytest.raises(InternalError, match="versions than 2"):
        link_model(
            [], standin.own_symbols(standin.graph()), image, tmp_path / "model.so", versions=2
        )


def test_what_killed_compilations_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Yesterday's are removed, another process's stays."""
    for name, age_s in (("building-old", 2e5), ("building-now", 0.0)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    toolchain._remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["building-now"]


def test_strange_paths(tmp_path: Path) -> None:
    folder = tmp_path / 'ö "quoted" and $spaced'
    folder.mkdir()
    assert standin.build(folder, "ü.so").stat().st_size > 10_000


def test_without_the_targets_library(tmp_path: Path) -> None:
    # As when cross-compiling: linked against a stub, found at load time.
    tools = replace(find_toolchain(), ffi_library_folder=None)
    with load(standin.build(tmp_path, toolchain=tools), plan="cpu") as session:
        feeds = standin.feeds(0)
        expected = standin.reference(feeds["x"], feeds["y"])
        np.testing.assert_array_equal(session.run(feeds)["out"], expected["out"])


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -m64")
    with pytest.raises(ToolchainError, match="no-such-compiler"):
        find_toolchain()
    with pytest.raises(ToolchainError, match="mips-linux-gnu-g\\+\\+"):
        find_toolchain("mips-linux-gnu")


def test_runtime_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A stand-in compiler that counts: what matters is how often it is called.
    log = tmp_path / "log"
    fake = tmp_path / "fake-cxx"
    fake.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo fake 1 && exit\necho x >> {log}\n'
        'while [ "$1" != -o ]; do shift; done\necho object > "$2"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tools = Toolchain((str(fake),))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: runtime_objects(tools), range(4)))
    assert all(result == results[0] for result in results)
    assert len(results[0]) > 10
    calls = log.read_text().count("x")
    runtime_objects(tools)
    assert log.read_text().count("x") == calls
    assert len(list((tmp_path / "cache" / "hetcomp").iterdir())) == 1


def test_compiler_error_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bad-cxx"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && exit\necho the reason >&2\nexit 3\n')
    fake.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ToolchainError, match=r"exit status 3 of: .*bad-cxx(.|\n)*the reason"):
        runtime_objects(Toolchain((str(fake),)))
    assert os.listdir(tmp_path / "cache" / "hetcomp") == []


def test_image_checks_what_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    tables = standin.tables()
    plans = [standin.plan_of(table) for table in tables]
    wrong = [np.zeros(3, np.float32), np.zeros((64, 64), np.float32)]
    with pytest.raises(InternalError, match="constant b: 12 bytes, expected 256"):
        write_image(path, standin.graph(), plans, tables, "", wrong, {})
    with pytest.raises(InternalError, match="do not correspond"):
        write_image(path, standin.graph(), plans[1:], tables, "", standin.constants(), {})
    no_cpu = [replace(table, name=f"{table.name}2") for table in tables]
    plans = [standin.plan_of(table) for table in no_cpu]
    with pytest.raises(InternalError, match='no step table named "cpu"'):
        write_image(path, standin.graph(), plans, no_cpu, "", standin.constants(), {})
