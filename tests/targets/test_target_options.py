"""What a machine that is not here cannot be asked for, said before any work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hetcomp
from hetcomp import driver
from hetcomp.cli.cores import parse_cores
from hetcomp.codegen.target_library import fetch_ffi_library
from hetcomp.codegen.toolchain import find_toolchain
from hetcomp.errors import InputError, ToolchainError
from hetcomp.options import CompileOptions


@pytest.fixture(autouse=True)
def any_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilers are looked for by another test."""
    monkeypatch.setattr(driver, "find_toolchain", lambda _triple, _ndk: find_toolchain())


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("rpi5", {"plan": "gpu"}, "VideoCore VII: its maker publishes no OpenCL driver"),
        ("rpi5", {"plan": "split"}, "give --device-class to generate OpenCL kernels all the same"),
        ("rk3588", {"npu_driver": "amx"}, "'amx' is for x86-64 CPUs"),
        ("rk3588", {"tuned": "db.json"}, "rk3588.* is not here"),
        ("rk35", {}, "rk35' is unknown; .*, rk3588, "),
    ],
)
def test_refused(target: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        hetcomp.compile(
            b"", output=tmp_path / "m.so", target=target, options=CompileOptions(**options)
        )


def test_no_cross_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolchainError, match="apt-get install g\\+\\+-aarch64-linux-gnu"):
        find_toolchain("aarch64-linux-gnu")


def test_a_library_that_is_not_published() -> None:
    with pytest.raises(ToolchainError, match="not published for aarch64-linux-android"):
        fetch_ffi_library("aarch64-linux-android")


@pytest.mark.parametrize(
    ("text", "cores"), [("4-7", (4, 5, 6, 7)), ("7,4-6", (7, 4, 5, 6)), ("0", (0,)), ("all", ())]
)
def test_cores(text: str, cores: tuple[int, ...]) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize(
    "text",
    ["", "4-", "-4", "a", "4,4", "7-4", "0,7-4", "2000", "0-99999999999", "²"],
)
def test_no_cores(text: str) -> None:
    with pytest.raises(InputError, match="cores"):
        parse_cores(text)
