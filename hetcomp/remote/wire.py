"""What is said on plain sockets, with bounded waits: TVM's tracker protocol, a board's status."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hetcomp.errors import InputError, LinkError
from hetcomp.remote.address import Remote

__all__ = ["Address", "BoardStatus", "ask_status", "locate", "request"]

_RPC_MAGIC, _TRACKER_MAGIC = 0xFF271, 0x2F271
_REQUEST, _SUMMARY = 4, 6
_STATUS = "status"
"""The key that `runtime_patches/rpc/server.cc` answers with its status."""
_PROTOCOL = 1
_ANSWER_S = 5.0
_MOST_BYTES = 1 << 22
_TRACKER = "tracker of TVM's RPC"
_START = "start hetcomp_rpc there (`hetcomp rpc-server` builds it)"


@dataclass(frozen=True)
class Address:
    """Where a board listens, and the key that it expects."""

    host: str
    port: int
    match: str = ""


@dataclass(frozen=True)
class BoardStatus:
    """What a board's server says of itself.

    Attributes
    ----------
    serves
        Address of the client whose session is open; empty where there is none.
    serves_s
        For how long.
    last
        How the last session ended.
    device
        Of `cpu` and `opencl`, what `hetcomp.devices.board` describes.
    """

    serves: str
    serves_s: float
    last: str
    device: Mapping[str, Any]


def ask_status(remote: Remote, timeout_s: float = _ANSWER_S) -> BoardStatus:
    """Ask a board what it is and whom it serves, which it answers during a session, too.

    Raises
    ------
    LinkError
        It does not answer within `timeout_s`.
    InputError
        Something else listens there, or a server of another version.
    """
    address = locate(remote, timeout_s)
    where = f"{address.host}:{address.port}"
    with _Stream(address.host, address.port, timeout_s) as stream:
        stream.send_int(_RPC_MAGIC)
        stream.send_text(_STATUS)
        if stream.number() != _RPC_MAGIC:
            raise InputError(f"{where} is no hetcomp_rpc; {_START}")
        data = stream.json()
    with _understood(where, "hetcomp_rpc"):
        if data["server"] != "hetcomp_rpc" or data["protocol"] != _PROTOCOL:
            raise InputError(f"{where} is not of this version of hetcomp; {_START}")
        serves_s = float(data["serves_s"])
        return BoardStatus(str(data["serves"]), serves_s, str(data["last"]), data["device"])


def locate(remote: Remote, timeout_s: float = _ANSWER_S) -> Address:
    """Where a board is, without taking it: of a tracker's, the first with the key.

    Raises
    ------
    LinkError
        The tracker does not answer, or knows none.
    """
    if not remote.key:
        return Address(remote.host, remote.port)
    found = _ask_tracker(remote, [_SUMMARY], timeout_s)
    with _understood(f"{remote.host}:{remote.port}", _TRACKER):
        for server in found[1]["server_info"]:
            if server["key"] == f"server:{remote.key}":
                host, port = server["addr"]
                return Address(str(host), int(port))
    raise LinkError(f"the tracker {remote.host}:{remote.port} knows no device '{remote.key}'")


def request(remote: Remote, timeout_s: float) -> Address:
    """Where to connect to: with a key, the tracker's next free device.

    Raises
    ------
    LinkError
        No device was free within `timeout_s`.
    """
    if not remote.key:
        return Address(remote.host, remote.port)
    found = _ask_tracker(remote, [_REQUEST, remote.key, "", 1], timeout_s)
    with _understood(f"{remote.host}:{remote.port}", _TRACKER):
        _, (host, port, match) = found
        return Address(str(host), int(port), str(match))


@contextmanager
def _understood(where: str, what: str) -> Iterator[None]:
    """An answer of another form than `what` gives is the user's error: something else listens."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{where} is no {what} of this version: {error!r}; {_START}") from error


def _ask_tracker(remote: Remote, question: list[Any], timeout_s: float) -> Any:
    with _Stream(remote.host, remote.port, timeout_s) as stream:
        stream.send_int(_TRACKER_MAGIC)
        if stream.number() != _TRACKER_MAGIC:
            raise InputError(f"{remote.host}:{remote.port} is no {_TRACKER}")
        stream.send_text(json.dumps(question))
        return stream.json()


class _Stream:
    """A socket whose failures are LinkErrors: numbers of 4 bytes, texts behind their length.

    All that is said over it has to be said within `timeout_s`.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._where = f"{host}:{port}"
        self._end = time.monotonic() + timeout_s
        try:
            self._socket = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            raise LinkError(f"{self._where} cannot be reached: {error}; {_START}") from error

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send_int(self, value: int) -> None:
        self._send(struct.pack("<i", value))

    def send_text(self, text: str) -> None:
        data = text.encode()
        self._send(struct.pack("<i", len(data)) + data)

    def number(self) -> int:
        value: int = struct.unpack("<i", self._receive(4))[0]
        return value

    def json(self) -> Any:
        size = self.number()
        if not 0 <= size <= _MOST_BYTES:
            raise LinkError(f"{self._where} answers with a text of {size} bytes")
        data = self._receive(size)
        with _understood(self._where, "server of TVM's RPC"):
            return json.loads(data)

    def _send(self, data: bytes) -> None:
        try:
            self._limited().sendall(data)
        except OSError as error:
            raise LinkError(f"{self._where}: {error}") from error

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                chunk = self._limited().recv(size - len(data))
            except OSError as error:
                raise LinkError(f"{self._where} does not answer: {error}") from error
            if not chunk:
                raise LinkError(f"{self._where} has closed the connection")
            data += chunk
        return data

    def _limited(self) -> socket.socket:
        """The socket, which waits no longer than until the end."""
        left_s = self._end - time.monotonic()
        if left_s <= 0.0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left_s)
        return self._socket
