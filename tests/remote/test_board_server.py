"""`hetcomp_rpc` and this side of it, on this machine as the board."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from board import Board

import hetcomp
from hetcomp.bench import zoo
from hetcomp.devices import describe_board, describe_cpu, describe_opencl
from hetcomp.errors import ArtifactError, DeviceError, InputError, LinkError
from hetcomp.machine import Machine
from hetcomp.options import CompileOptions
from hetcomp.remote import (
    Link,
    LinkDroppedError,
    Lost,
    Remote,
    ask_status,
    await_board,
    connect,
    held,
    why_lost,
)
from hetcomp.remote.wire import locate
from hetcomp.runtime.remote_session import RemoteProcess

NETWORK = "deepfm"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.so"
    options = CompileOptions(plan="cpu", gpu=False)
    return hetcomp.compile(zoo.build(NETWORK), output=path, options=options).path


@pytest.fixture
def machine(board: Board) -> Machine:
    return Machine.parse(board.rpc)


@pytest.fixture
def remote(board: Board) -> Remote:
    return Remote.parse(board.rpc)


def test_a_board_describes_itself_as_python_does(remote: Remote) -> None:
    cpu, *opencl = describe_board(remote)
    assert cpu == describe_cpu()
    assert tuple(opencl) == describe_opencl()


def test_outputs_are_those_of_onnx_runtime(machine: Machine, model: Path) -> None:
    network = zoo.build(NETWORK)
    feeds = zoo.random_inputs(network)
    reference = onnxruntime.InferenceSession(network.SerializeToString())
    expected = reference.run(None, dict(feeds))
    with machine.open(model, plan="cpu") as session:
        found = session.run(feeds)
        assert session.profile(2).runs[0].total_us > 0.0
    for value, output in zip(expected, found.values(), strict=True):
        np.testing.assert_allclose(output, value, rtol=1e-4, atol=1e-5)


def test_what_the_board_refuses_is_its_own_words(machine: Machine, model: Path) -> None:
    with machine.open(model, plan="cpu") as session:
        with pytest.raises(DeviceError, match='says: the model has no plan "gpu"'):
            session.use_plan("gpu")
        with pytest.raises(InputError, match="not to be had over RPC"):
            session.buffer("x")
        assert session.status().plan == "cpu"  # the session goes on


def test_one_session_at_a_time(machine: Machine, remote: Remote, model: Path) -> None:
    with machine.open(model, plan="cpu"):
        assert ask_status(remote).serves == "127.0.0.1"
        with pytest.raises(LinkError, match=r"serves 127\.0\.0\.1, for \d+ s by now"):
            connect(remote, patience_s=0.2)
    await_board(remote, 10.0)
    assert not ask_status(remote).serves


def test_files_are_removed(board: Board, machine: Machine, model: Path) -> None:
    def left() -> list[str]:
        return sorted(p.name for p in board.folder.rglob("*") if p.suffix == ".so")

    with machine.open(model, plan="cpu"):
        assert left() == ["model.so"]
    await_board(Remote.parse(board.rpc), 10.0)
    assert left() == []
    with machine.open(model, plan="cpu"):
        board.stop()  # killed: the next server cleans up
    board.start()
    assert left() == []


def test_names_of_files_stay_in_the_folder(remote: Remote) -> None:
    link = connect(remote)
    try:
        for name in ("../x", "/tmp/x", "..", "."):
            with pytest.raises(DeviceError, match="is not the plain name of a file"):
                link.guarded(link.connection.upload)(bytearray(b"x"), name)
    finally:
        link.end()


def test_a_session_that_dies_is_told_from_a_link_that_drops(
    board: Board, machine: Machine, remote: Remote, model: Path
) -> None:
    with machine.open(model, plan="cpu") as session:
        board.kill_session()
        with pytest.raises(LinkError, match=r"the link to .* dropped"):
            session.status()
    assert why_lost(remote) == (Lost.CRASH, "the session on the board was ended by Killed")
    with machine.open(model, plan="cpu") as session:
        board.stop()
        with pytest.raises(LinkError, match=r"the link to .* dropped"):
            session.status()
    board.start()
    assert why_lost(remote)[0] is Lost.LINK


def test_a_session_has_a_time_limit(remote: Remote, model: Path) -> None:
    link = connect(remote, session_s=1.0)
    try:
        await_board(remote, 10.0)  # by itself: nobody hangs up here
        with pytest.raises(LinkError):
            link.guarded(link.connection.upload)(bytearray(b"x"), "x")
    finally:
        link.end()
    assert why_lost(remote)[0] is Lost.TIMEOUT


def test_what_was_begun_goes_on_when_the_board_is_back(
    board: Board, machine: Machine, model: Path
) -> None:
    attempts: list[int] = []
    told: list[str] = []

    def action() -> float:
        with machine.open(model, plan="cpu") as session:
            attempts.append(len(attempts))
            if len(attempts) == 1:
                board.stop()
                threading.Timer(1.0, board.start).start()
            return session.profile(2).runs[0].total_us

    assert machine.held(action, told.append) > 0.0
    assert (attempts, told) == ([0, 1], [f"waiting for {board.rpc}"])


def test_a_session_that_was_not_begun_did_not_crash(board: Board, remote: Remote) -> None:
    """What the board says of the last session is of one before it."""
    crashed = connect(remote)
    board.kill_session()
    crashed.end()
    await_board(remote, 10.0)
    assert why_lost(remote)[0] is Lost.CRASH
    other = connect(remote)
    tries: list[int] = []

    def action() -> None:
        tries.append(len(tries))
        connect(remote, patience_s=0.1).end()

    held(action, remote, lambda _text: other.end())
    assert tries == [0, 1]


def test_a_missing_file_is_no_fault_of_the_link(tmp_path: Path) -> None:
    nobody = Machine(Remote("127.0.0.1", 1))
    with pytest.raises(ArtifactError, match=r"none\.so"), nobody.open(tmp_path / "none.so"):
        pass


def test_a_link_that_drops_while_a_model_is_opened(model: Path) -> None:
    class Gone:
        """A board's module, of which nothing can be asked."""

        def __getitem__(self, name: str) -> None:
            raise RuntimeError("Connection reset by peer")

    remote = Remote("127.0.0.1", 1)
    connection = SimpleNamespace(upload=lambda *_: None, load_module=lambda _name: Gone())
    process = RemoteProcess(Link(connection, remote.text, remote, socket.socket()))
    with pytest.raises(LinkDroppedError, match="Connection reset by peer"):
        process.open(model)
    process.end()


def test_patience_ends(board: Board, remote: Remote) -> None:
    board.stop()
    with pytest.raises(LinkError, match=r"did not come back within 1 s: .*run the same command"):
        await_board(remote, 1.0)
    board.start()


def test_others_who_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = Remote("127.0.0.1", silent.getsockname()[1])
        with pytest.raises(LinkError, match="does not answer"):
            ask_status(remote, timeout_s=0.3)
    with pytest.raises(LinkError, match=r"cannot be reached: .*start hetcomp_rpc"):
        ask_status(remote)


@pytest.fixture
def tracker() -> Iterator[int]:
    """Port of TVM's tracker."""
    from tvm.rpc.tracker import Tracker

    found = Tracker("127.0.0.1", 9190, 9390)
    yield found.port
    found.terminate()


def test_a_tracker_hands_the_board_out(
    rpc_program: Path, tmp_path: Path, tracker: int, model: Path
) -> None:
    options = ("--tracker", f"127.0.0.1:{tracker}", "--key", "phone")
    with Board(rpc_program, tmp_path, options) as board:
        remote = Remote("127.0.0.1", tracker, "phone")
        await_board(remote, 10.0)
        assert locate(remote).port == board.port
        for _ in range(2):  # it is free again after a session
            with Machine(remote).open(model, plan="cpu") as session:
                assert session.status().plan == "cpu"
        with pytest.raises(LinkError, match="refused"):
            connect(Remote("127.0.0.1", board.port))  # not by way of the tracker


def test_the_board_that_was_lost_is_asked(rpc_program: Path, tmp_path: Path, tracker: int) -> None:
    """The first of a tracker's boards may be another one."""
    options = ("--tracker", f"127.0.0.1:{tracker}", "--key", "phone")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with Board(rpc_program, folders[0], options) as a, Board(rpc_program, folders[1], options) as b:
        remote = Remote("127.0.0.1", tracker, "phone")
        await_board(remote, 10.0)
        links = {link.board.port: link for link in (connect(remote), connect(remote))}
        b.kill_session()
        links[a.port].end()
        for board, lost in ((b, Lost.CRASH), (a, Lost.LINK)):
            link = links[board.port]
            with pytest.raises(LinkDroppedError) as caught:
                link.guarded(link.connection.upload)(bytearray(b"x"), "x")
            assert caught.value.board == Remote("127.0.0.1", board.port)
            assert why_lost(caught.value.board)[0] is lost
