"""Fixtures of several parts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hetcomp.codegen.rpc_server import build_rpc_server

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))

from board import Board
from emulated_amx import Emulator, build_emulator, why_no_emulator
from required import AMX_EMULATOR
from shared_device import given_up


@pytest.fixture(autouse=True)
def _device_is_kept() -> Iterator[None]:
    """Names the test that gives the device up, rather than those that miss it later."""
    before = given_up()
    yield
    assert before or not given_up(), "OpenCL timed out or failed; this process has given it up"


@pytest.fixture(scope="session")
def amx_emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    """Executes AMX where the CPU has none; skips where the CPU cannot be emulated so."""
    AMX_EMULATOR.skip_or_fail(why_no_emulator())
    return build_emulator(tmp_path_factory.mktemp("amx_emulator"))


@pytest.fixture(scope="session")
def rpc_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server for boards, built for this machine."""
    return build_rpc_server(tmp_path_factory.mktemp("rpc"))[0]


@pytest.fixture
def board(rpc_program: Path, tmp_path: Path) -> Iterator[Board]:
    """This machine as a board."""
    with Board(rpc_program, tmp_path) as found:
        yield found
