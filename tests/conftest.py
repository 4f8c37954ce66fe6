"""Fixtures of several parts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))

from emulated_amx import Emulator, build_emulator, why_no_emulator
from shared_device import given_up

_START_S = 60.0


@pytest.fixture(autouse=True)
def _device_is_kept() -> Iterator[None]:
    """Names the test that gives the device up, rather than those that miss it later."""
    before = given_up()
    yield
    assert before or not given_up(), "OpenCL timed out or failed; this process has given it up"


@pytest.fixture(scope="session")
def amx_emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    """Executes AMX where the CPU has none; skips where the CPU cannot be emulated so."""
    if missing := why_no_emulator():
        pytest.skip(missing)
    return build_emulator(tmp_path_factory.mktemp("amx_emulator"))


@pytest.fixture
def rpc_server() -> Iterator[int]:
    """Port of a TVM RPC server on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tvm.exec.rpc_server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--port-end", str(port + 1)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_for(port)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it serves in a process of its own
        process.wait()


def _wait_for(port: int) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
