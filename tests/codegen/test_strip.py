"""Which strip goes with which compiler; the compilers are scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hetcomp.codegen.strip import find_strip
from hetcomp.codegen.toolchain import Toolchain
from hetcomp.errors import ToolchainError

FOREIGN = "riscv64-linux-gnu"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs, of which strip is the host's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder / "strip")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def like_gcc(folder: Path, strip: str = "strip") -> tuple[str]:
    """Says the name alone of programs that it does not know."""
    known = f'[ "$1" = -print-prog-name=strip ] && echo {strip} || echo "${{1#*=}}"'
    return (str(program(folder / "g++", known)),)


def like_clang(folder: Path) -> tuple[str]:
    """Looks in PATH for programs that it does not know."""
    return (str(program(folder / "clang++", 'n="${1#*=}"; command -v "$n" || echo "$n"')),)


def test_hosts(path: Path) -> None:
    assert find_strip(Toolchain(like_gcc(path))) == path / "strip"
    assert find_strip(Toolchain(like_clang(path))) == path / "strip"


@pytest.mark.usefixtures("path")
def test_cross_compilers_own(tmp_path: Path) -> None:
    own = program(tmp_path / "cross" / "strip")
    assert find_strip(Toolchain(like_gcc(tmp_path, str(own)), FOREIGN)) == own


@pytest.mark.parametrize("compiler", [like_gcc, like_clang])
def test_never_the_hosts_for_other_machines(
    path: Path, compiler: Callable[[Path], tuple[str]]
) -> None:
    tools = Toolchain(compiler(path), FOREIGN)
    with pytest.raises(ToolchainError, match="knows no strip: install its binutils, or llvm-strip"):
        find_strip(tools)
    of_every_target = program(path / "llvm-strip")
    assert find_strip(tools) == of_every_target
    (path / "strip").unlink()
    (path / "strip").symlink_to(of_every_target)  # a host without binutils
    assert find_strip(tools) == of_every_target


def test_androids_lies_beside_the_compiler(path: Path, tmp_path: Path) -> None:
    program(path / "llvm-strip")
    tools = Toolchain(like_clang(tmp_path / "ndk"), "aarch64-linux-android")
    assert find_strip(tools) == path / "llvm-strip"
    beside = program(tmp_path / "ndk" / "llvm-strip")
    assert find_strip(tools) == beside
