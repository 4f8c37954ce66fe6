"""`hetcomp_rpc` goes on where sessions, clients, drivers and the system do not."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from board import Board

from hetcomp.codegen.toolchain import find_toolchain, runtime_folder
from hetcomp.errors import LinkError
from hetcomp.remote import Remote, await_board, connect

MAGIC = 0xFF271
SUPPORT = Path(__file__).parents[1] / "support"
SEIZE, GETFD = 0x4206, 438
"""Of ptrace(2) and of syscall(2)."""


@pytest.fixture
def remote(board: Board) -> Remote:
    return Remote.parse(board.rpc)


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("faults") / "board_faults.so"
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", f"-I{runtime_folder() / 'src'}"]
    source = SUPPORT / "board_faults.cc"
    command = [*find_toolchain().cxx, *flags, str(source), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return library


def hello(key: bytes) -> bytes:
    return struct.pack("<ii", MAGIC, len(key)) + key


def status(board: Board, pieces: int = 1) -> dict[str, Any]:
    """All that a board says of itself, asked for in so many pieces."""
    data = hello(b"status")
    step = -(-len(data) // pieces)
    with socket.create_connection(("127.0.0.1", board.port), 10.0) as asker:
        for begin in range(0, len(data), step):
            asker.sendall(data[begin : begin + step])
            time.sleep(0.01 if pieces > 1 else 0.0)
        with asker.makefile("rb") as answer:
            _, size = struct.unpack("<ii", answer.read(8))
            found: dict[str, Any] = json.loads(answer.read(size))
    return found


def seconds(action: Callable[[], object]) -> float:
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def processes(argument: str) -> list[str]:
    """Those that were started with something that contains it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            found += [path.parent.name] if argument in path.read_text() else []
    return found


def kernel(call: str, *arguments: int) -> int:
    """What a call of libc returns, that Python has not."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = int(getattr(libc, call)(*arguments))
    if found < 0 and ctypes.get_errno() in (1, 38):  # EPERM, ENOSYS
        pytest.skip(f"this system does not let {call}")
    assert found >= 0, os.strerror(ctypes.get_errno())
    return found


def test_a_session_that_cannot_be_ended(board: Board, remote: Remote) -> None:
    """A process that is traced cannot be reaped by its parent: like one that a driver holds."""
    link = connect(remote, session_s=1.0)
    (stuck,) = board.sessions()
    kernel("ptrace", SEIZE, stuck, 0, 0)
    link.end()
    await_board(remote, 10.0)
    found = status(board)
    assert found["stuck"] == 1
    assert found["last"].endswith("its process is stuck in a driver and cannot be ended")
    connect(remote).end()  # the board serves the next one
    os.waitpid(stuck, 0)
    await_board(remote, 10.0)
    assert status(board)["stuck"] == 0


def test_a_session_ends_when_what_it_sends_is_not_taken(board: Board, remote: Remote) -> None:
    link = connect(remote)
    (session,) = board.sessions()
    process = os.pidfd_open(session)
    found = []
    for name in Path(f"/proc/{session}/fd").iterdir():
        if not os.readlink(name).startswith("socket:"):
            continue
        with socket.socket(fileno=kernel("syscall", GETFD, process, int(name.name), 0)) as own:
            found.append(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    os.close(process)
    link.end()
    assert found == [30_000]  # and it has no other sockets of the server's


def test_clients_that_are_silent_or_slow(board: Board) -> None:
    silent = [socket.create_connection(("127.0.0.1", board.port)) for _ in range(20)]
    silent[-1].sendall(hello(b"status")[:5])
    assert seconds(lambda: status(board)) < 1.0
    assert status(board, pieces=14)["serves"] == ""
    assert seconds(lambda: board.stop(signal.SIGTERM)) < 1.0
    for client in silent:
        client.close()
    board.start()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.0\r\n\r\n", struct.pack("<ii", MAGIC, -1)])
def test_what_is_no_hello(board: Board, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", board.port), 4.0) as client:
        client.sendall(data)
        with suppress(ConnectionResetError):  # it did not read all
            assert client.recv(1) == b""
    assert status(board)["serves"] == ""


def test_a_client_that_leaves_before_it_has_said_all(board: Board) -> None:
    with socket.create_connection(("127.0.0.1", board.port), 4.0) as client:
        client.sendall(hello(b"status")[:-1])
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert status(board)["serves"] == ""


def test_a_cleaner_of_temporary_files(board: Board, remote: Remote) -> None:
    link = connect(remote)
    (folder,) = (path for path in board.folder.iterdir() if path.is_dir())
    shutil.rmtree(folder)
    link.end()
    await_board(remote, 10.0)
    link = connect(remote)
    link.guarded(link.connection.upload)(bytearray(b"x"), "x")
    assert [path.name for path in board.folder.glob("*/x")] == ["x"]
    link.end()


def test_folders_of_servers_that_are_no_more(rpc_program: Path, tmp_path: Path) -> None:
    """Numbers of processes tell nothing: each container has its own."""
    mine, others = (tmp_path / f"hetcomp-rpc-{os.getuid()}-{pid}" for pid in (1, 99999999))
    mine.mkdir()
    others.mkdir()
    lock = os.open(others, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with Board(rpc_program, tmp_path):
        assert not mine.exists()
        assert others.exists()
    os.close(lock)
    with Board(rpc_program, tmp_path) as a, Board(rpc_program, tmp_path) as b:
        assert status(a)["stuck"] == status(b)["stuck"] == 0
        assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


@pytest.fixture
def tracker() -> Iterator[int]:
    """Port of TVM's tracker."""
    from tvm.rpc.tracker import Tracker

    found = Tracker("127.0.0.1", 9190, 9390)
    yield found.port
    found.terminate()


def test_no_process_for_a_session(
    rpc_program: Path, tmp_path: Path, faults: Path, tracker: int
) -> None:
    """The tracker offers the board again."""
    full = tmp_path / "full"
    emulator = ("env", f"LD_PRELOAD={faults}", f"NO_FORK={full}")
    options = ("--tracker", f"127.0.0.1:{tracker}", "--key", "phone")
    with Board(rpc_program, tmp_path, options, emulator) as board:
        remote = Remote("127.0.0.1", tracker, "phone")
        await_board(remote, 10.0)
        full.touch()
        with pytest.raises(LinkError):
            connect(remote)
        full.unlink()
        connect(remote).end()
        assert "fork: Resource temporarily unavailable" in board.log.read_text()


def test_a_resolver_that_does_not_answer(rpc_program: Path, tmp_path: Path, faults: Path) -> None:
    emulator = ("env", f"LD_PRELOAD={faults}", "SLOW_NAMES=1")
    options = ("--tracker", "board.invalid:9190", "--key", "phone")
    with Board(rpc_program, tmp_path, options, emulator) as board:
        assert seconds(lambda: status(board)) < 4.0
        assert "no answer in time; trying again" in board.log.read_text()


@pytest.mark.parametrize(
    ("driver", "error"),
    [
        ("leaves a process", ""),
        ("throws", "the driver: of the driver"),
        ("throws a number", "the driver: its process ended without an answer"),
    ],
)
def test_drivers(rpc_program: Path, tmp_path: Path, faults: Path, driver: str, error: str) -> None:
    emulator = ("env", f"HETCOMP_OPENCL_LIBRARY={faults}", f"DRIVER={driver}")
    board = Board(rpc_program, tmp_path, emulator=emulator)
    try:
        assert seconds(board.start) < 5.0
        assert status(board)["device"]["opencl"] == {
            "library": True, "error": error, "devices": [],
        }  # fmt: skip
        assert "usage:" not in board.log.read_text()
        end = time.monotonic() + 5.0
        while len(processes(str(tmp_path))) > 2:  # the server, and `timeout`, which runs it
            assert time.monotonic() < end
    finally:
        board.stop()
