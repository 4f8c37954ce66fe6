"""What listens but answers wrongly, slowly or never, in place of a board or a tracker."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hetcomp.errors import InputError, LinkError
from hetcomp.remote import Remote, ask_status, connect, link
from hetcomp.remote.wire import Address, locate

MAGIC, TRACKER_MAGIC = 0xFF271, 0x2F271
IDLE = {"server": "hetcomp_rpc", "protocol": 1, "serves": "", "serves_s": 0.0, "last": ""}
LIMIT_S = 0.5
Answer = Callable[[socket.socket], None]


def number(value: int) -> bytes:
    return struct.pack("<i", value)


def text(data: bytes) -> bytes:
    return number(len(data)) + data


@contextmanager
def listening(answer: Answer, key: str = "") -> Iterator[Remote]:
    """Calls `answer` for each connection, in turn."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return  # closed: the test is over
                with client:
                    answer(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Remote("127.0.0.1", server.getsockname()[1], key)
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10.0)
    assert not thread.is_alive()


def asked(client: socket.socket) -> bytes:
    """The key that a client names, behind the magic number and its length."""
    size = struct.unpack("<4xi", client.recv(8, socket.MSG_WAITALL))[0]
    return client.recv(size, socket.MSG_WAITALL)


def says(*parts: bytes) -> Answer:
    def answer(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(b"".join(parts))
        client.recv(1000)

    return answer


@pytest.mark.parametrize(
    "data",
    [
        b"no JSON",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        json.dumps({**IDLE, "serves_s": "x"}).encode(),
    ],
)
def test_an_answer_of_another_form(data: bytes) -> None:
    with (
        listening(says(number(MAGIC), text(data))) as remote,
        pytest.raises(InputError, match=r"127\.0\.0\.1:\d+ is no .*start hetcomp_rpc there"),
    ):
        ask_status(remote)


@pytest.mark.parametrize("data", [b"no JSON", b"[0]", b"{}", b'[0, {"server_info": [{}]}]'])
def test_a_tracker_of_another_form(data: bytes) -> None:
    with (
        listening(says(number(TRACKER_MAGIC), text(data)), "phone") as remote,
        pytest.raises(InputError, match="is no "),
    ):
        locate(remote)


def test_an_answer_has_a_limit_as_a_whole() -> None:
    def drips(client: socket.socket) -> None:
        client.settimeout(10.0)
        try:
            for byte in number(MAGIC) + text(json.dumps(IDLE).encode()):
                client.sendall(bytes([byte]))
                time.sleep(LIMIT_S / 5)
        except OSError:
            return  # the other side has had enough

    begin = time.monotonic()
    with listening(drips) as remote, pytest.raises(LinkError, match="does not answer: timed out"):
        ask_status(remote, timeout_s=LIMIT_S)
    assert time.monotonic() - begin < 10 * LIMIT_S


def test_a_board_that_does_not_greet(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells its status, and then says nothing to whom it should serve."""
    status = {**IDLE, "device": {}}

    def answer(client: socket.socket) -> None:
        if b"status" in asked(client):
            client.sendall(number(MAGIC) + text(json.dumps(status).encode()))
        client.settimeout(60.0)
        while client.recv(1000):
            pass

    monkeypatch.setattr(link, "_GREETING_S", LIMIT_S)
    with listening(answer) as remote, pytest.raises(LinkError, match=r"it said nothing for 0\.5 s"):
        connect(remote)


def test_files_that_are_no_sockets_stay_as_they_are() -> None:
    before = link._open_files()
    assert link._own_socket(Address("127.0.0.1", 1), set()) is None
    assert link._open_files() == before
