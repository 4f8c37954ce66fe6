"""Libraries of targets, out of their packages; nothing is downloaded here."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from hetcomp.codegen import target_library
from hetcomp.errors import ToolchainError

TRIPLE = "aarch64-linux-gnu"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is downloaded, to be written."""
    path = tmp_path / "some.whl"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(target_library, "_download", lambda *_: path)
    return path


def test_a_library_comes_out_of_its_package(package: Path) -> None:
    with zipfile.ZipFile(package, "w") as wheel:
        wheel.writestr("tvm_ffi/lib/libtvm_ffi.so", b"code")
    assert target_library.fetch_ffi_library(TRIPLE).read_bytes() == b"code"
    folder = target_library.kept_ffi_folder(TRIPLE)
    assert folder is not None
    assert folder.is_relative_to(package.parent)


def test_a_package_without_the_library(package: Path) -> None:
    with zipfile.ZipFile(package, "w") as wheel:
        wheel.writestr("tvm_ffi/lib/libother.so", b"code")
    with pytest.raises(ToolchainError, match=r"some.whl holds no libtvm_ffi.so"):
        target_library.fetch_ffi_library(TRIPLE)
    assert target_library.kept_ffi_folder(TRIPLE) is None
